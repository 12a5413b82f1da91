//! Tokens of software behind a real PKCS#11 module, filled and looked at by programs that know nothing of us; and a module that
//! stands in between and misbehaves. What is done with a token is the tests'.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use obnovad::cards::modules::Module;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, BigNumContext, MsbOption};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use tempfile::TempDir;

use crate::{KeyKind, Made};

/// The PIN of every token here.
pub const PIN: &str = "271828";

/// The PUK (the security officer's PIN) of every token here.
pub const PUK: &str = "31415926";

/// A directory with tokens of `SoftHSM`, which ends with it.
pub struct SoftToken {
    directory: TempDir,
    label: String,
    between: PathBuf,
}

/// What is known of an object on a token: its class, its `CKA_ID` and its label, as `pkcs11-tool` names them.
pub type Object = (String, String, String);

impl SoftToken {
    /// With one token of this label, on which nothing is.
    pub fn new(label: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("tokens")).expect("a directory");
        let configuration = format!(
            "directories.tokendir = {}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
            directory.path().display()
        );
        std::fs::write(directory.path().join("softhsm2.conf"), configuration).expect("written");
        let token = Self { directory, label: label.to_owned(), between: brought() };
        token.add(label);
        token
    }

    /// One more token in the same directory.
    pub fn add(&self, label: &str) {
        self.run("softhsm2-util", &["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PUK]);
    }

    /// The token's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The token as a place, by its label alone.
    pub fn place(&self) -> String {
        assert!(self.label.bytes().all(|byte| byte.is_ascii_alphanumeric()), "a label that needs no escaping");
        format!("pkcs11:token={}", self.label)
    }

    /// The module that shows it.
    pub fn module(&self) -> Module {
        Module { path: module_file().to_owned(), environment: self.environment([]) }
    }

    /// The same behind a module with slots of its own: the tokens are plugged in as long as the file exists.
    pub fn pluggable(&self, plug: &Path) -> Module {
        let mut module = self.between("");
        module.environment.insert("BETWEEN_PLUG".to_owned(), text(plug).to_owned());
        module
    }

    /// The lines of a configuration that name the module.
    pub fn configuration(&self) -> String {
        configuration(&self.module())
    }

    /// The module that stands between, and `does` something at a function: see `testbed/token/between.c`. Empty: it only takes
    /// note of the calls.
    pub fn between(&self, does: &str) -> Module {
        self.between_and(module_file(), does)
    }

    /// The same before another module than `SoftHSM`'s.
    pub fn between_and(&self, module: &Path, does: &str) -> Module {
        let file = module.display().to_string();
        let log = self.log().display().to_string();
        let own = [("BETWEEN_MODULE", file.as_str()), ("BETWEEN_LOG", &log), ("BETWEEN_DOES", does)];
        Module { path: self.between.clone(), environment: self.environment(own) }
    }

    /// The same, with flags that the token has besides its own (`CKF_…`).
    pub fn between_with_flags(&self, flags: u64) -> Module {
        let mut module = self.between("");
        module.environment.insert("BETWEEN_FLAGS".to_owned(), flags.to_string());
        module
    }

    /// The calls that the module in between took note of since this was last asked.
    pub fn calls(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        std::fs::remove_file(self.log()).expect("calls were noted");
        log.lines().map(str::to_owned).collect()
    }

    /// How often a function has been called so far.
    pub fn count(&self, function: &str) -> usize {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter(|line| *line == function).count()
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("calls")
    }

    fn environment<const N: usize>(&self, more: [(&str, &str); N]) -> BTreeMap<String, String> {
        let configuration = self.directory.path().join("softhsm2.conf").display().to_string();
        let own = [("SOFTHSM2_CONF", configuration.as_str())];
        own.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Has `pkcs11-tool` make a key pair. `further` are arguments such as `--always-auth` and `--usage-sign`.
    pub fn generate(&self, id: &str, label: &str, kind: KeyKind, further: &[&str]) -> PKey<Public> {
        let kind = match kind {
            KeyKind::Rsa(bits) => format!("rsa:{bits}"),
            KeyKind::P256 => "EC:prime256v1".to_owned(),
            KeyKind::P384 => "EC:secp384r1".to_owned(),
        };
        let fixed = ["--keypairgen", "--key-type", &kind, "--id", id, "--label", label];
        self.tool(PIN, &[&fixed, further].concat());
        self.public_key(id)
    }

    /// The public key in a spot, as `pkcs11-tool` shows it.
    pub fn public_key(&self, id: &str) -> PKey<Public> {
        let shown = self.shown("Public Key", id);
        let number = |name: &str| shown.lines().find_map(|line| line.trim().strip_prefix(name)).map(|text| unhex(text.trim()));
        // Of keys on curves it gives out only some; what it shows of them is `CKA_EC_POINT`, an OCTET STRING.
        let Some(point) = number("EC_POINT:") else {
            return PKey::public_key_from_der(&self.read("pubkey", id)).expect("a public key");
        };
        let curve = if point.len() == 67 { Nid::X9_62_PRIME256V1 } else { Nid::SECP384R1 };
        let group = EcGroup::from_curve_name(curve).expect("a curve");
        let mut context = BigNumContext::new().expect("a context");
        let point = EcPoint::from_bytes(&group, &point[2..], &mut context).expect("a point");
        PKey::from_ec_key(EcKey::from_public_key(&group, &point).expect("a public key")).expect("a public key")
    }

    /// The certificate in a spot, as `pkcs11-tool` gives it out; DER.
    pub fn certificate(&self, id: &str) -> Vec<u8> {
        self.read("cert", id)
    }

    fn read(&self, kind: &str, id: &str) -> Vec<u8> {
        let path = self.directory.path().join("read");
        self.tool(PIN, &["--read-object", "--type", kind, "--id", id, "--output-file", text(&path)]);
        std::fs::read(path).expect("read")
    }

    /// Has `pkcs11-tool` write a certificate.
    pub fn write(&self, id: &str, label: &str, certificate: &X509) {
        let path = self.directory.path().join("written");
        std::fs::write(&path, certificate.to_der().expect("DER")).expect("written");
        self.tool(PIN, &["--write-object", text(&path), "--type", "cert", "--id", id, "--label", label]);
    }

    /// Every object on the token, as `pkcs11-tool` lists them to whoever knows the PIN.
    pub fn objects(&self) -> BTreeSet<Object> {
        let mut objects: Vec<Object> = Vec::new();
        for line in self.listing().lines() {
            if let Some((class, _)) = line.split_once(" Object; ") {
                objects.push((class.to_owned(), String::new(), String::new()));
            } else if let Some((name, value)) = line.split_once(':')
                && let Some(object) = objects.last_mut()
            {
                match name.trim() {
                    "ID" => value.trim().clone_into(&mut object.1),
                    "label" => value.trim().clone_into(&mut object.2),
                    _ => {}
                }
            }
        }
        objects.into_iter().collect()
    }

    /// The list of objects as `pkcs11-tool` prints it.
    pub fn listing(&self) -> String {
        String::from_utf8(self.tool(PIN, &["--list-objects"])).expect("UTF-8")
    }

    /// What `pkcs11-tool` prints of the private key in a spot: usage and access among it.
    pub fn private_key(&self, id: &str) -> String {
        self.shown("Private Key", id)
    }

    /// What `pkcs11-tool` prints of an object.
    fn shown(&self, class: &str, id: &str) -> String {
        let listing = self.listing();
        let mut objects: Vec<String> = Vec::new();
        for line in listing.lines() {
            match objects.last_mut().filter(|_| line.starts_with(' ')) {
                Some(object) => object.extend(["\n", line]),
                None => objects.push(line.to_owned()),
            }
        }
        let named = |object: &&String| object.lines().any(|line| line.trim().strip_prefix("ID:").map(str::trim) == Some(id));
        let found = objects.iter().filter(|object| object.starts_with(class)).find(named);
        found.unwrap_or_else(|| panic!("no {class} {id} in {listing}")).clone()
    }

    /// Has `pkcs11-tool` sign a message with the key in a spot: as X.509 has signatures.
    pub fn sign(&self, id: &str, message: &[u8]) -> Vec<u8> {
        let key = self.public_key(id);
        let (input, output) = (self.directory.path().join("input"), self.directory.path().join("output"));
        let digest = MessageDigest::sha256();
        let hashed = openssl::hash::hash(digest, message).expect("a digest");
        let (mechanism, content) = if key.rsa().is_ok() { ("SHA256-RSA-PKCS", message) } else { ("ECDSA", &*hashed) };
        std::fs::write(&input, content).expect("written");
        let fixed = ["--sign", "--id", id, "--mechanism", mechanism, "--signature-format", "sequence"];
        self.tool(PIN, &[&fixed[..], &["--input-file", text(&input), "--output-file", text(&output)]].concat());
        std::fs::read(output).expect("a signature")
    }

    /// Whether a PIN opens the token.
    pub fn opens(&self, pin: &str) -> bool {
        let output = self.command("pkcs11-tool", &self.logged_in(pin, &["--list-objects"])).output();
        output.expect("pkcs11-tool runs").status.success()
    }

    fn tool(&self, pin: &str, arguments: &[&str]) -> Vec<u8> {
        self.run("pkcs11-tool", &self.logged_in(pin, arguments))
    }

    fn logged_in<'a>(&'a self, pin: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["--module", text(module_file()), "--token-label", &self.label, "--login", "--pin", pin];
        [&fixed, arguments].concat()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(program, arguments).output().expect("it runs");
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", program]).args(arguments).envs(self.environment([]));
        command.stdin(Stdio::null());
        command
    }
}

/// The lines of a configuration that name a module.
pub fn configuration(module: &Module) -> String {
    let Module { path, environment } = module;
    let variables: Vec<String> = environment.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    format!("[[modules]]\npath = \"{}\"\nenvironment = {{ {} }}\n", path.display(), variables.join(", "))
}

/// A certificate for a key on a token, by an authority: what a person with a card has. The address stands among the names.
pub fn issued(name: &str, address: &str, key: &PKey<Public>, authority: &Made, days_left: i64) -> X509 {
    const DAY: i64 = 24 * 60 * 60;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
    let time = |seconds: i64| Asn1Time::from_unix(now + seconds).expect("a time");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::ONE, false).expect("a random number");
    let mut subject = X509NameBuilder::new().expect("a name");
    subject.append_entry_by_text("C", "CZ").expect("a country");
    subject.append_entry_by_text("CN", name).expect("a name");
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("a version");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a serial")).expect("a serial");
    builder.set_subject_name(&subject.build()).expect("a subject");
    builder.set_issuer_name(authority.certificate.subject_name()).expect("an issuer");
    builder.set_not_before(&time((days_left - 365) * DAY)).expect("a time");
    builder.set_not_after(&time(days_left * DAY + DAY / 24)).expect("a time");
    builder.set_pubkey(key).expect("a key");
    let alternative = SubjectAlternativeName::new().email(address).build(&builder.x509v3_context(None, None));
    let usage = KeyUsage::new().critical().digital_signature().non_repudiation().build();
    for extension in [BasicConstraints::new().critical().build(), usage, alternative] {
        builder.append_extension(extension.expect("an extension")).expect("an extension");
    }
    builder.sign(&authority.key, MessageDigest::sha256()).expect("a signature");
    builder.build()
}

/// Has the testbed bring what is needed; the file of the module that stands between.
fn brought() -> PathBuf {
    static BETWEEN: std::sync::LazyLock<PathBuf> = std::sync::LazyLock::new(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/token.sh");
        let output = Command::new(script).stdin(Stdio::null()).output().expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).expect("UTF-8").trim_end())
    });
    BETWEEN.clone()
}

/// The file of `SoftHSM`'s module.
fn module_file() -> &'static Path {
    let files = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so"];
    let found = files.into_iter().map(Path::new).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("SoftHSM's module is nowhere of {files:?}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len() / 2).map(|index| digits(2 * index)).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
