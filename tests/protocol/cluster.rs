//! A model of the API server: one resource, one Secret, and writes of status that are conditional
//! on the resourceVersion. Statuses are kept as JSON, as the API server keeps them.

use super::cognito::text;
use cognito_password_operator::{
    api::{CognitoUserPasswordSpec, PasswordSecretRef, Status},
    core::{
        fingerprint::Keyring,
        observed::{Comparison, SecretFact, SecretVersion, compare},
        password::Password,
        target::Target,
    },
};
use std::collections::BTreeMap;

pub const UID: &str = "00000000-1111-2222-3333-444444444444";

/// The resource as one read shows it.
#[derive(Clone)]
pub struct Resource {
    pub spec: CognitoUserPasswordSpec,
    pub generation: i64,
    pub requested_at: Option<String>,
    /// Its resourceVersion.
    pub version: u64,
    status: String,
}

/// The Secret as one read shows it.
#[derive(Clone)]
pub struct Secret {
    pub version: SecretVersion,
    pub data: BTreeMap<&'static str, Vec<u8>>,
}

/// What the API server holds, and the operator's keys.
pub struct Cluster {
    pub resource: Resource,
    pub secret: Option<Secret>,
    /// Names and first bytes of the keys, oldest first.
    pub keys: Vec<(String, u8)>,
    counter: u64,
}

/// The resourceVersion isn't the one that was read.
#[derive(Debug)]
pub struct Conflict;

pub fn spec() -> CognitoUserPasswordSpec {
    CognitoUserPasswordSpec {
        user_pool_id: "eu-west-1_AbCdEf123".to_owned(),
        username: "ci-bot".to_owned(),
        password_secret_ref: PasswordSecretRef {
            name: "ci-bot-credentials".to_owned(),
            key: "password".to_owned(),
        },
        permanent: true,
        suspend: false,
    }
}

pub fn target() -> Target {
    Target::parse("eu-west-1_AbCdEf123", "ci-bot").expect("a valid target")
}

pub fn keyring(keys: &[(String, u8)]) -> Keyring {
    let bytes: Vec<_> = keys
        .iter()
        .map(|(name, byte)| (name, [*byte; 32]))
        .collect();
    Keyring::new(bytes.iter().map(|(name, key)| (name.as_str(), &key[..]))).expect("valid keys")
}

pub fn password(value: u8) -> Password {
    Password::parse(text(value).as_bytes()).expect("a valid password")
}

impl Resource {
    pub fn status(&self) -> Status {
        serde_json::from_str(&self.status).expect("a status that was written")
    }
}

impl Cluster {
    pub fn new() -> Self {
        let mut cluster = Self {
            resource: Resource {
                spec: spec(),
                generation: 1,
                requested_at: None,
                version: 1,
                status: r#"{"observedGeneration":-1}"#.to_owned(),
            },
            secret: None,
            keys: vec![("key-1".to_owned(), 1)],
            counter: 100,
        };
        cluster.put("password", Some(text(0).into_bytes()));
        cluster
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Writes a status, if nobody wrote since `read` was read; a status that is there already
    /// changes nothing.
    pub fn write(&mut self, read: &Resource, status: &Status) -> Result<Resource, Conflict> {
        if read.version != self.resource.version {
            return Err(Conflict);
        }
        let json = serde_json::to_string(status).expect("a status is JSON");
        if json != self.resource.status {
            self.resource.status = json;
            self.resource.version = self.next();
        }
        Ok(self.resource.clone())
    }

    /// Somebody changes the spec.
    pub fn change(&mut self, change: impl FnOnce(&mut CognitoUserPasswordSpec)) {
        let mut spec = self.resource.spec.clone();
        change(&mut spec);
        if spec != self.resource.spec {
            self.resource.spec = spec;
            self.resource.generation += 1;
            self.resource.version = self.next();
        }
    }

    /// Somebody asks for a set now.
    pub fn request(&mut self) {
        let number = self.next();
        self.resource.requested_at = Some(format!("request {number}"));
        self.resource.version = number;
    }

    /// Somebody writes a key of the Secret, or takes it away; the Secret is made if need be.
    pub fn put(&mut self, key: &'static str, value: Option<Vec<u8>>) {
        let uid = format!("secret-{}", self.counter);
        let resource_version = self.next().to_string();
        let secret = self.secret.get_or_insert_with(|| Secret {
            version: SecretVersion {
                uid,
                resource_version: String::new(),
            },
            data: BTreeMap::new(),
        });
        secret.version.resource_version = resource_version;
        match value {
            Some(value) => secret.data.insert(key, value),
            None => secret.data.remove(key),
        };
    }

    /// Somebody changes the Secret's metadata.
    pub fn touch(&mut self) {
        let resource_version = self.next().to_string();
        if let Some(secret) = &mut self.secret {
            secret.version.resource_version = resource_version;
        }
    }

    /// The value at the key that the resource names, if it could be a password.
    pub fn value(&self) -> Option<Password> {
        let key = self.resource.spec.password_secret_ref.key.as_str();
        Password::parse(self.secret.as_ref()?.data.get(key)?).ok()
    }

    /// What a read of the Secret finds, for somebody who sees the resource as `seen`.
    pub fn read(&self, seen: &Resource) -> (SecretFact, Option<Password>) {
        let Some(secret) = &self.secret else {
            return (SecretFact::NotFound, None);
        };
        let version = secret.version.clone();
        let key = seen.spec.password_secret_ref.key.as_str();
        let Some(bytes) = secret.data.get(key) else {
            return (SecretFact::KeyNotFound(version), None);
        };
        match Password::parse(bytes) {
            Err(why) => (SecretFact::Invalid(version, why), None),
            Ok(password) => {
                let comparison = self.compare(seen, &password);
                (SecretFact::Value(version, comparison), Some(password))
            }
        }
    }

    pub fn compare(&self, seen: &Resource, password: &Password) -> Comparison {
        let keyring = keyring(&self.keys);
        compare(
            &keyring,
            &target(),
            seen.spec.permanent,
            password,
            &seen.status(),
        )
    }

    pub fn synced_key_is_newest(&self, status: &Status) -> bool {
        let synced = status.synced.as_ref();
        synced.is_none_or(|synced| keyring(&self.keys).newest_signed(&synced.fingerprint))
    }
}
