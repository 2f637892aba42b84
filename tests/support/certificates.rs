//! The control plane's certificates and keys; each control plane gets new ones.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::scratch::write_private;

/// The Regions whose hosts [`Certificates::aws`] names.
const REGIONS: [&str; 7] = [
    "us-east-1",
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
];

/// The paths of the files.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) server: Pair,
    /// Of AWS's hosts in the tests' Regions.
    pub(crate) aws: Pair,
    /// In the group `system:masters`, which may do everything.
    pub(crate) admin: Pair,
    pub(crate) controller_manager: Pair,
    /// Signs the tokens of service accounts.
    pub(crate) service_account_key: PathBuf,
    /// Verifies the tokens of service accounts.
    pub(crate) service_account_public_key: PathBuf,
}

/// A certificate and its private key.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

struct Authority<'a> {
    directory: &'a Path,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn generate(directory: &Path) -> Self {
        let key = new_key();
        let mut params = CertificateParams::default();
        params.distinguished_name = name("test-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a CA can sign itself");
        let ca = directory.join("ca.crt");
        write_private(&ca, &certificate.pem());
        let authority = Authority {
            directory,
            issuer: Issuer::new(params, key),
        };

        let service_account = new_key();
        let service_account_key = directory.join("service-account.key");
        let service_account_public_key = directory.join("service-account.pub");
        write_private(&service_account_key, &service_account.serialize_pem());
        write_private(
            &service_account_public_key,
            &service_account.public_key_pem(),
        );
        Self {
            ca,
            server: authority.server(),
            aws: authority.aws(),
            admin: authority.client("admin", Some("system:masters")),
            controller_manager: authority.client("system:kube-controller-manager", None),
            service_account_key,
            service_account_public_key,
        }
    }
}

impl Authority<'_> {
    fn server(&self) -> Pair {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        let mut params = CertificateParams::new(names).expect("these are valid names");
        params.distinguished_name = name("kube-apiserver", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("kube-apiserver", &params)
    }

    fn aws(&self) -> Pair {
        let names = REGIONS.map(|region| format!("*.{region}.amazonaws.com"));
        let mut params = CertificateParams::new(names).expect("these are valid names");
        params.distinguished_name = name("amazonaws.com", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("amazonaws", &params)
    }

    /// Kubernetes reads the user from the common name and the group from the organization.
    fn client(&self, user: &str, group: Option<&str>) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&user.replace(':', "-"), &params)
    }

    fn issue(&self, file: &str, params: &CertificateParams) -> Pair {
        let key = new_key();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the CA can sign");
        let pair = Pair {
            certificate: self.directory.join(format!("{file}.crt")),
            key: self.directory.join(format!("{file}.key")),
        };
        write_private(&pair.certificate, &certificate.pem());
        write_private(&pair.key, &key.serialize_pem());
        pair
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a P-256 key can be made")
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
