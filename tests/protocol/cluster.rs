//! A model of the API server: one resource, one Secret, and status writes that are conditional on the
//! resourceVersion. Statuses are stored as JSON, as in the API server.

use super::cognito::{WEAK, text};
use cognito_password_operator::{
    api::{CognitoUserPasswordSpec, FederatedUser, PasswordSecretRef, Status},
    core::{
        access::{authority::Authority, grant::Admission},
        credential::{
            fingerprint::{Keyring, retire},
            password::Password,
        },
        names::target::Target,
        protocol::observation::{
            Comparison, SecretState, SecretVersion, SignedByNewestKey, compare,
        },
    },
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// The resource as one read returns it.
#[derive(Clone, Debug)]
pub struct Resource {
    pub uid: String,
    pub spec: CognitoUserPasswordSpec,
    pub generation: i64,
    pub requested_at: Option<String>,
    /// The resourceVersion.
    pub version: u64,
    status: String,
}

/// The Secret as one read returns it.
#[derive(Clone, Debug)]
pub struct Secret {
    pub version: SecretVersion,
    pub data: BTreeMap<&'static str, Vec<u8>>,
}

/// The content of the API server, and the operator's keys.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub resource: Resource,
    pub secret: Option<Secret>,
    /// Whether a grant admits the resource.
    pub granted: bool,
    /// Whether the pool's id names no AWS Region, and no grant names a Region.
    pub in_no_region: bool,
    /// Name and first byte of each key, the oldest key first.
    pub keys: Vec<(String, u8)>,
    /// The content of the Secret at each of its resourceVersions.
    past: BTreeMap<String, BTreeMap<&'static str, Vec<u8>>>,
    counter: u64,
}

/// The resourceVersion has changed since the read.
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
        drift: None,
        federated_user: FederatedUser::Refuse,
        revoke_sessions: false,
    }
}

pub fn target() -> Target {
    Target::parse("eu-west-1_AbCdEf123", "ci-bot").expect("a valid target")
}

/// The current keys, and the value of each of their fingerprints.
pub struct Keys {
    pub ring: Keyring,
    pub names: HashMap<String, u8>,
}

/// The keyring of these keys. Cached for equal keys, because signing is slow in a debug build.
pub fn keyring(keys: &[(String, u8)]) -> Rc<Keys> {
    type Made = Option<(Vec<(String, u8)>, Rc<Keys>)>;
    thread_local! { static MADE: RefCell<Made> = const { RefCell::new(None) } }
    MADE.with_borrow_mut(|made| match made {
        Some((of, made)) if of == keys => made.clone(),
        _ => made
            .insert((keys.to_vec(), Rc::new(Keys::new(keys))))
            .1
            .clone(),
    })
}

impl Keys {
    fn new(keys: &[(String, u8)]) -> Self {
        let bytes: Vec<_> = keys
            .iter()
            .map(|(name, byte)| (name, [*byte; 32]))
            .collect();
        let entries = || bytes.iter().map(|(name, key)| (name.as_str(), &key[..]));
        let ring =
            |entries: &mut dyn Iterator<Item = _>| Keyring::new(entries).expect("valid keys");
        let mut names = HashMap::new();
        for entry in entries() {
            let one = ring(&mut std::iter::once(entry));
            for (value, way) in (0..=WEAK).flat_map(|value| [(value, true), (value, false)]) {
                let signed = one.sign(&target(), way, &password(value));
                names.insert(retire(signed.as_str()), value);
                names.insert(signed.as_str().to_owned(), value);
            }
        }
        Self {
            ring: ring(&mut entries()),
            names,
        }
    }
}

pub fn password(value: u8) -> Password {
    Password::parse(text(value).as_bytes()).expect("a valid password")
}

impl Resource {
    fn new(spec: CognitoUserPasswordSpec, version: u64) -> Self {
        Self {
            uid: format!("00000000-1111-2222-3333-{version:012}"),
            spec,
            generation: 1,
            requested_at: None,
            version,
            status: r#"{"observedGeneration":-1}"#.to_owned(),
        }
    }

    pub fn status(&self) -> Status {
        serde_json::from_str(&self.status).expect("a status that was written")
    }
}

impl Cluster {
    pub fn new() -> Self {
        let mut cluster = Self {
            resource: Resource::new(spec(), 1),
            secret: None,
            granted: true,
            in_no_region: false,
            keys: vec![("key-1".to_owned(), 1)],
            past: BTreeMap::new(),
            counter: 100,
        };
        cluster.put("password", Some(text(0).into_bytes()));
        cluster
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Writes a status, unless the resource was written after `read`. An equal status changes nothing.
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

    /// Changes the spec.
    pub fn change(&mut self, change: impl FnOnce(&mut CognitoUserPasswordSpec)) {
        let mut spec = self.resource.spec.clone();
        change(&mut spec);
        if spec != self.resource.spec {
            self.resource.spec = spec;
            self.resource.generation += 1;
            self.resource.version = self.next();
        }
    }

    /// Deletes and recreates the resource.
    pub fn recreate(&mut self) {
        let version = self.next();
        self.resource = Resource::new(self.resource.spec.clone(), version);
    }

    /// Requests a set.
    pub fn request(&mut self) {
        let number = self.next();
        self.resource.requested_at = Some(format!("request {number}"));
        self.resource.version = number;
    }

    /// Writes or removes a key of the Secret. Creates the Secret if there is none.
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
        self.remember();
    }

    fn remember(&mut self) {
        if let Some(secret) = &self.secret {
            let version = secret.version.resource_version.clone();
            self.past.insert(version, secret.data.clone());
        }
    }

    /// The value of this version of the Secret at the key that the resource names, if the value could be a
    /// password.
    pub fn value_at(&self, resource_version: &str) -> Option<Password> {
        let key = self.resource.spec.password_secret_ref.key.as_str();
        Password::parse(self.past.get(resource_version)?.get(key)?).ok()
    }

    /// Changes the Secret's metadata.
    pub fn touch(&mut self) {
        let resource_version = self.next().to_string();
        if let Some(secret) = &mut self.secret {
            secret.version.resource_version = resource_version;
        }
        self.remember();
    }

    /// The current value at the key that the resource names, if the value could be a password.
    pub fn value(&self) -> Option<Password> {
        let key = self.resource.spec.password_secret_ref.key.as_str();
        Password::parse(self.secret.as_ref()?.data.get(key)?).ok()
    }

    /// The result of a read of the Secret, for a process that knows the resource as `seen`.
    pub fn read(&self, seen: &Resource) -> (SecretState, Option<Password>) {
        let Some(secret) = &self.secret else {
            return (SecretState::NotFound, None);
        };
        let version = secret.version.clone();
        let key = seen.spec.password_secret_ref.key.as_str();
        let Some(bytes) = secret.data.get(key) else {
            return (SecretState::KeyNotFound(version), None);
        };
        match Password::parse(bytes) {
            Err(why) => (SecretState::Invalid(version, why), None),
            Ok(password) => {
                let comparison = self.compare(seen, &password);
                (SecretState::Value(version, comparison), Some(password))
            }
        }
    }

    pub fn compare(&self, seen: &Resource, password: &Password) -> Comparison {
        let keyring = keyring(&self.keys);
        compare(
            &keyring.ring,
            &target(),
            seen.spec.permanent,
            password,
            &seen.status(),
        )
    }

    pub fn admission(&self) -> Admission {
        if self.in_no_region {
            Admission::UnknownRegion
        } else if self.granted {
            Admission::Granted(Authority::own(target().pool.region()))
        } else {
            Admission::NotGranted
        }
    }

    pub fn newest_signed(&self, status: &Status) -> SignedByNewestKey {
        SignedByNewestKey::of(status, &keyring(&self.keys).ring)
    }
}
