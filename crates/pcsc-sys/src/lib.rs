//! PC/SC's C interface as the crate `pcsc` wants it (`pcsc-sys` 1.3, on Linux), with one difference: `libpcsclite.so.1` is not
//! linked, but looked for when a context is wanted. So nothing of it is needed to build, and on a machine without it there is
//! simply no card service ([`SCARD_E_NO_SERVICE`]). Owns no state but the library, and judges nothing.
//!
//! Beside `obnova-secret` the only crate with any `unsafe`.
#![expect(non_snake_case, non_upper_case_globals, reason = "the names are those of PC/SC")]

mod constants;
mod library;

use std::ffi::{c_char, c_long, c_ulong, c_void};

pub use constants::*;
use library::functions;

/// PC/SC's unsigned number.
pub type DWORD = c_ulong;
/// PC/SC's result code.
pub type LONG = c_long;
/// PC/SC's other unsigned number.
pub type ULONG = c_ulong;
/// A context's handle.
pub type SCARDCONTEXT = LONG;
/// A connection's handle.
pub type SCARDHANDLE = LONG;

/// Protocol control information.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SCARD_IO_REQUEST {
    /// Which protocol.
    pub dwProtocol: DWORD,
    /// The length of this structure.
    pub cbPciLength: DWORD,
}

/// What is known, and what is new, of a reader.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SCARD_READERSTATE {
    /// The reader's name.
    pub szReader: *const c_char,
    /// The caller's own.
    pub pvUserData: *mut c_void,
    /// What is known.
    pub dwCurrentState: DWORD,
    /// What is.
    pub dwEventState: DWORD,
    /// How many bytes of the next count.
    pub cbAtr: DWORD,
    /// The card's answer to reset.
    pub rgbAtr: [u8; ATR_BUFFER_SIZE],
}

const fn request(protocol: DWORD) -> SCARD_IO_REQUEST {
    SCARD_IO_REQUEST { dwProtocol: protocol, cbPciLength: size_of::<SCARD_IO_REQUEST>() as DWORD }
}

/// T=0.
pub static g_rgSCardT0Pci: SCARD_IO_REQUEST = request(SCARD_PROTOCOL_T0);
/// T=1.
pub static g_rgSCardT1Pci: SCARD_IO_REQUEST = request(SCARD_PROTOCOL_T1);
/// Without a protocol.
pub static g_rgSCardRawPci: SCARD_IO_REQUEST = request(SCARD_PROTOCOL_RAW);

/// The number by which a driver's own command is called.
pub const fn SCARD_CTL_CODE(code: DWORD) -> DWORD {
    0x4200_0000 + code
}

functions! {
    SCardEstablishContext(
        dwScope: DWORD,
        pvReserved1: *const c_void,
        pvReserved2: *const c_void,
        phContext: *mut SCARDCONTEXT,
    );
    SCardReleaseContext(hContext: SCARDCONTEXT);
    SCardIsValidContext(hContext: SCARDCONTEXT);
    SCardCancel(hContext: SCARDCONTEXT);
    SCardConnect(
        hContext: SCARDCONTEXT,
        szReader: *const c_char,
        dwShareMode: DWORD,
        dwPreferredProtocols: DWORD,
        phCard: *mut SCARDHANDLE,
        pdwActiveProtocol: *mut DWORD,
    );
    SCardReconnect(
        hCard: SCARDHANDLE,
        dwShareMode: DWORD,
        dwPreferredProtocols: DWORD,
        dwInitialization: DWORD,
        pdwActiveProtocol: *mut DWORD,
    );
    SCardDisconnect(hCard: SCARDHANDLE, dwDisposition: DWORD);
    SCardGetStatusChange(
        hContext: SCARDCONTEXT,
        dwTimeout: DWORD,
        rgReaderStates: *mut SCARD_READERSTATE,
        cReaders: DWORD,
    );
    SCardListReaders(
        hContext: SCARDCONTEXT,
        mszGroups: *const c_char,
        mszReaders: *mut c_char,
        pcchReaders: *mut DWORD,
    );
    SCardBeginTransaction(hCard: SCARDHANDLE);
    SCardEndTransaction(hCard: SCARDHANDLE, dwDisposition: DWORD);
    SCardStatus(
        hCard: SCARDHANDLE,
        szReaderName: *mut c_char,
        pcchReaderLen: *mut DWORD,
        pdwState: *mut DWORD,
        pdwProtocol: *mut DWORD,
        pbAtr: *mut u8,
        pcbAtrLen: *mut DWORD,
    );
    SCardGetAttrib(hCard: SCARDHANDLE, dwAttrId: DWORD, pbAttr: *mut u8, pcbAttrLen: *mut DWORD);
    SCardSetAttrib(hCard: SCARDHANDLE, dwAttrId: DWORD, pbAttr: *const u8, cbAttrLen: DWORD);
    SCardTransmit(
        hCard: SCARDHANDLE,
        pioSendPci: *const SCARD_IO_REQUEST,
        pbSendBuffer: *const u8,
        cbSendLength: DWORD,
        pioRecvPci: *mut SCARD_IO_REQUEST,
        pbRecvBuffer: *mut u8,
        pcbRecvLength: *mut DWORD,
    );
    SCardControl(
        hCard: SCARDHANDLE,
        dwControlCode: DWORD,
        pbSendBuffer: *const u8,
        cbSendLength: DWORD,
        pbRecvBuffer: *mut u8,
        cbRecvLength: DWORD,
        lpBytesReturned: *mut DWORD,
    );
}
