//! The trusted CA certificates. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's certificates. The
//! certificates of `AWS_CA_BUNDLE`, a variable of all AWS tools, are added.

use super::error_text::one_line;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    env, fs,
    path::Path,
    sync::{Arc, LazyLock},
};
use tracing::warn;

/// The environment variable that names the file with additional certificates.
const BUNDLE_VARIABLE: &str = "AWS_CA_BUNDLE";

/// Why the certificates of `AWS_CA_BUNDLE` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file doesn't exist, or this process may not read the file.
    #[error("{BUNDLE_VARIABLE} names {0}, which can't be read: {1}")]
    Unreadable(String, std::io::Error),
    /// The file holds no certificate.
    #[error(
        "{BUNDLE_VARIABLE} names {0}, which has no certificate: the file must hold PEM certificates"
    )]
    Empty(String),
    /// An entry of the file is no CA certificate.
    #[error(
        "{BUNDLE_VARIABLE} names {path}, whose certificate number {number} can't be used: {why}"
    )]
    Unusable {
        /// The file.
        path: String,
        /// The position of the certificate in the file, counted from 1.
        number: usize,
        /// The reason.
        why: String,
    },
}

/// The system's certificates. Read once, because parsing more than a hundred certificates in each test would
/// take long.
static SYSTEM: LazyLock<RootCertStore> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "some of the trusted certificates can't be read");
    }
    let mut roots = RootCertStore::empty();
    // A system's store may have entries that are no CA certificates. The SDK and curl skip such entries too.
    roots.add_parsable_certificates(found.certs);
    roots
});

/// The trusted certificates according to the environment.
///
/// # Errors
/// [`BundleError`] if `AWS_CA_BUNDLE` names a file that can't be used.
pub(super) fn from_env() -> Result<Arc<RootCertStore>, BundleError> {
    let bundle = env::var_os(BUNDLE_VARIABLE).filter(|path| !path.is_empty());
    let roots = with_bundle(bundle.as_ref().map(Path::new))?;
    if roots.is_empty() {
        warn!(
            "no certificate is trusted, so AWS can't be reached: neither the system has any, nor SSL_CERT_FILE, nor {BUNDLE_VARIABLE}"
        );
    }
    Ok(roots)
}

/// The system's certificates and those of a bundle.
pub(super) fn with_bundle(bundle: Option<&Path>) -> Result<Arc<RootCertStore>, BundleError> {
    let mut roots = SYSTEM.clone();
    if let Some(path) = bundle {
        add(&mut roots, path)?;
    }
    Ok(Arc::new(roots))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), BundleError> {
    let named = || one_line(&path.display().to_string(), 500);
    let pem = fs::read(path).map_err(|error| BundleError::Unreadable(named(), error))?;
    let unusable = |number, why| BundleError::Unusable {
        path: named(),
        number,
        why,
    };
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        number += 1;
        let certificate = certificate.map_err(|error| unusable(number, error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(number, error.to_string()))?;
    }
    if number == 0 {
        return Err(BundleError::Empty(named()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rstest::rstest;

    fn certificate() -> String {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&key).expect("a certificate").pem()
    }

    /// The number of certificates that a bundle with this content adds, or the error.
    fn added(bundle: impl AsRef<[u8]>) -> Result<usize, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bundle.pem");
        fs::write(&path, bundle).expect("a file");
        let roots = with_bundle(Some(&path)).map_err(|error| error.to_string())?;
        Ok(roots.len() - SYSTEM.len())
    }

    #[test]
    fn a_bundle_is_added_to_the_systems_certificates() {
        let one = certificate();
        assert_eq!(added(&one), Ok(1));
        let text = format!("The company's:\n{one}\nand the lab's:\r\n{}", certificate());
        assert_eq!(added(text), Ok(2));
        let with_key = format!(
            "{}{one}",
            KeyPair::generate().expect("a key").serialize_pem()
        );
        assert_eq!(
            added(with_key),
            Ok(1),
            "what is no certificate is passed over"
        );
        let none = with_bundle(None).expect("the system's");
        assert_eq!(none.len(), SYSTEM.len());
    }

    #[rstest]
    #[case("", "has no certificate")]
    #[case("not PEM", "has no certificate")]
    #[case("\0\u{1}\u{2}", "has no certificate")]
    #[case(
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "certificate number 1 can't be used"
    )]
    #[case(
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
        "certificate number 1 can't be used"
    )]
    #[case("-----BEGIN CERTIFICATE-----\naGVsbG8=\n", "can't be used")]
    fn a_bundle_without_a_certificate_is_refused(#[case] bundle: &str, #[case] why: &str) {
        let message = added(bundle).expect_err("no certificate");
        assert!(message.starts_with("AWS_CA_BUNDLE names /"), "{message}");
        assert!(message.contains("bundle.pem"), "{message}");
        assert!(message.contains(why), "{message}");
        assert!(!message.contains("aGVsbG8"), "{message}");
    }

    #[test]
    fn one_bad_certificate_makes_the_bundle_unusable() {
        let bundle = format!(
            "{}-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
            certificate()
        );
        let message = added(bundle).expect_err("half a bundle");
        assert!(
            message.contains("certificate number 2 can't be used"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_bundle_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("nowhere"), folder.path().to_owned()] {
            let message = with_bundle(Some(&path)).expect_err("no file").to_string();
            let names = format!("AWS_CA_BUNDLE names {}", path.display());
            assert!(message.starts_with(&names), "{message}");
            assert!(message.contains("which can't be read: "), "{message}");
        }
    }
}
