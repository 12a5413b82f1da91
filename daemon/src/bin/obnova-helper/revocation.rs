//! Asks whether a certificate has been revoked, and judges what is answered: answers of OCSP responders (RFC 6960) and lists of revoked
//! certificates (RFC 5280). What the issuer's signature does not prove says nothing.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use obnova_core::Certificate;
use obnova_core::certificate::list_covers;
use obnova_core::revocation::{Finding, Reason, Revoked, Standing, Why};
use obnovad::helper::HelperError;
use obnovad::helper::protocol::Bytes;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{
    OcspCertId, OcspCertStatus, OcspFlag, OcspRequest, OcspResponse, OcspResponseStatus, OcspRevokedStatus, OcspStatus,
};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{CrlReason, CrlStatus, ReasonCode, X509, X509Crl, X509RevokedRef};

use crate::certificates::parse;
use crate::failure::of_openssl;

/// How far the clocks of authorities may be ahead of ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// How old an answer may be that does not say when there will be a newer one.
const OLDEST: TimeDelta = TimeDelta::hours(24);

/// The bit `cRLSign` of a `KeyUsage` (RFC 5280 section 4.2.1.3).
const SIGNS_LISTS: u16 = 1 << 6;

/// The question about `certificate`, without a nonce: most responders sign their answers in advance.
pub(crate) fn request(certificate: &[u8], issuer: &[u8]) -> Result<Bytes, HelperError> {
    let (certificate, issuer) = (parse(certificate)?, parse(issuer)?);
    let made = || {
        let mut request = OcspRequest::new()?;
        request.add_id(id(&certificate, &issuer)?)?;
        request.to_der()
    };
    made().map(Bytes).map_err(|error| of_openssl(&error))
}

/// What a responder says of `certificate`.
pub(crate) fn answer(
    answer: &[u8],
    certificate: &[u8],
    issuer: &[u8],
    at: DateTime<Utc>,
) -> Result<Result<Finding, Why>, HelperError> {
    let (certificate, issuer) = (parse(certificate)?, parse(issuer)?);
    let Ok(response) = OcspResponse::from_der(answer) else { return Ok(Err(Why::Malformed)) };
    match response.status() {
        OcspResponseStatus::SUCCESSFUL => {}
        OcspResponseStatus::UNAUTHORIZED => return Ok(Err(Why::Unknown)),
        _ => return Ok(Err(Why::Refused)),
    }
    let Ok(basic) = response.basic() else { return Ok(Err(Why::Malformed)) };
    // Who may sign it is OpenSSL's to know (RFC 6960 section 4.2.2.2): the issuer, or whom it has certified for that.
    let proved = || -> Result<bool, ErrorStack> {
        let mut parameters = X509VerifyParam::new()?;
        parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        parameters.set_time(at.timestamp());
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&parameters)?;
        store.add_cert(issuer.clone())?;
        let mut signers = Stack::new()?;
        signers.push(issuer.clone())?;
        Ok(basic.verify(&signers, &store.build(), OcspFlag::empty()).is_ok())
    };
    if !proved().map_err(|error| of_openssl(&error))? {
        return Ok(Err(Why::Unproven));
    }
    let id = id(&certificate, &issuer).map_err(|error| of_openssl(&error))?;
    let Some(status) = basic.find_status(&id) else { return Ok(Err(Why::Other)) };
    Ok(of_status(&status, at))
}

fn of_status(status: &OcspStatus<'_>, at: DateTime<Utc>) -> Result<Finding, Why> {
    let next = status.next_update().map(time).transpose()?;
    current(time(status.this_update)?, next, at)?;
    let standing = match status.status {
        OcspCertStatus::GOOD => Standing::Good,
        OcspCertStatus::REVOKED => Standing::Revoked(Revoked {
            since: time(status.revocation_time.ok_or(Why::Malformed)?)?,
            reason: match status.reason {
                OcspRevokedStatus::KEY_COMPROMISE => Reason::KeyCompromise,
                OcspRevokedStatus::CA_COMPROMISE => Reason::AuthorityCompromise,
                OcspRevokedStatus::AFFILIATION_CHANGED => Reason::AffiliationChanged,
                OcspRevokedStatus::STATUS_SUPERSEDED => Reason::Superseded,
                OcspRevokedStatus::STATUS_CESSATION_OF_OPERATION => Reason::CessationOfOperation,
                OcspRevokedStatus::STATUS_CERTIFICATE_HOLD => Reason::Hold,
                other if other.as_raw() == PRIVILEGE_WITHDRAWN => Reason::PrivilegeWithdrawn,
                other if other.as_raw() == AUTHORITY_COMPROMISE => Reason::AuthorityCompromise,
                _ => Reason::Unspecified,
            },
        }),
        _ => return Err(Why::Unknown),
    };
    Ok(Finding { standing, next })
}

/// `privilegeWithdrawn` and `aACompromise` (RFC 5280 section 5.3.1), which OpenSSL's interface for OCSP has no names for.
const PRIVILEGE_WITHDRAWN: i32 = 9;
const AUTHORITY_COMPROMISE: i32 = 10;

/// What a list of revoked certificates says of `certificate`.
pub(crate) fn list(
    list: &[u8],
    certificate: &[u8],
    issuer: &[u8],
    at: DateTime<Utc>,
) -> Result<Result<Finding, Why>, HelperError> {
    let parsed = (parse(certificate)?, parse(issuer)?);
    Ok(of_list(list, certificate, issuer, &parsed, at))
}

fn of_list(
    list: &[u8],
    certificate_der: &[u8],
    issuer_der: &[u8],
    (certificate, issuer): &(X509, X509),
    at: DateTime<Utc>,
) -> Result<Finding, Why> {
    let list = if list.starts_with(b"-----BEGIN ") { X509Crl::from_pem(list) } else { X509Crl::from_der(list) };
    let list = list.map_err(|_| Why::Malformed)?;
    if !list.issuer_name().try_cmp(issuer.subject_name()).is_ok_and(std::cmp::Ordering::is_eq) {
        return Err(Why::Other);
    }
    let may_sign =
        Certificate::from_der(issuer_der).is_ok_and(|issuer| issuer.usage.is_none_or(|bits| bits & SIGNS_LISTS != 0));
    let key = issuer.public_key().map_err(|_| Why::Unproven)?;
    // An error here is a signature of another kind than the key.
    if !may_sign || !matches!(list.verify(&key), Ok(true)) {
        return Err(Why::Unproven);
    }
    let der = list.to_der().map_err(|_| Why::Malformed)?;
    if !list_covers(&der, certificate_der).map_err(|_| Why::Malformed)? {
        return Err(Why::Other);
    }
    let next = list.next_update().map(time).transpose()?;
    current(time(list.last_update())?, next, at)?;
    let standing = match list.get_by_serial(certificate.serial_number()) {
        CrlStatus::Revoked(entry) => Standing::Revoked(of_entry(entry)?),
        CrlStatus::NotRevoked | CrlStatus::RemoveFromCrl(_) => Standing::Good,
    };
    Ok(Finding { standing, next })
}

fn of_entry(entry: &X509RevokedRef) -> Result<Revoked, Why> {
    let code = entry.extension::<ReasonCode>().map_err(|_| Why::Malformed)?;
    let code = code.map(|(_, code)| code.get_i64()).transpose().map_err(|_| Why::Malformed)?;
    let is = |reason: CrlReason| code == Some(reason.as_raw().into());
    let reasons = [
        (CrlReason::KEY_COMPROMISE, Reason::KeyCompromise),
        (CrlReason::CA_COMPROMISE, Reason::AuthorityCompromise),
        (CrlReason::AA_COMPROMISE, Reason::AuthorityCompromise),
        (CrlReason::AFFILIATION_CHANGED, Reason::AffiliationChanged),
        (CrlReason::SUPERSEDED, Reason::Superseded),
        (CrlReason::CESSATION_OF_OPERATION, Reason::CessationOfOperation),
        (CrlReason::CERTIFICATE_HOLD, Reason::Hold),
        (CrlReason::PRIVILEGE_WITHDRAWN, Reason::PrivilegeWithdrawn),
    ];
    let reason = reasons.into_iter().find(|(code, _)| is(*code)).map_or(Reason::Unspecified, |(_, reason)| reason);
    Ok(Revoked { since: time(entry.revocation_date())?, reason })
}

/// By SHA-1, which every responder knows (RFC 5019 section 2.1.1). It tells certificates apart, and proves nothing.
fn id(certificate: &X509, issuer: &X509) -> Result<OcspCertId, ErrorStack> {
    OcspCertId::from_cert(MessageDigest::sha1(), certificate, issuer)
}

/// Whether what was said at this moment still holds.
fn current(this: DateTime<Utc>, next: Option<DateTime<Utc>>, at: DateTime<Utc>) -> Result<(), Why> {
    let holds = this <= at + SKEW && next.unwrap_or(this + OLDEST) >= at - SKEW;
    if holds { Ok(()) } else { Err(Why::Stale) }
}

/// A time as OpenSSL prints it: without fractions of seconds, which RFC 5280 section 4.1.2.5.2 does not allow.
fn time(printed: &impl ToString) -> Result<DateTime<Utc>, Why> {
    let printed = printed.to_string();
    NaiveDateTime::parse_from_str(&printed, "%b %e %H:%M:%S %Y GMT").map(|time| time.and_utc()).map_err(|_| Why::Malformed)
}
