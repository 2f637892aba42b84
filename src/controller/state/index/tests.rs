use super::{super::key::key, *};
use crate::{
    api::{CognitoUserPasswordSpec, FederatedUser, PasswordSecretRef},
    cluster::watch::lean_object::{DecodeError, UserRef},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;

/// A resource in `team-a`. Its user has the same name as the resource.
fn resource(name: &str, secret: &str) -> CognitoUserPassword {
    let spec = CognitoUserPasswordSpec {
        user_pool_id: "eu-west-1_a".to_owned(),
        username: name.to_owned(),
        password_secret_ref: PasswordSecretRef {
            name: secret.to_owned(),
            key: "password".to_owned(),
        },
        permanent: true,
        suspend: false,
        drift: None,
        federated_user: FederatedUser::Refuse,
        revoke_sessions: false,
    };
    let mut resource = CognitoUserPassword::new(name, spec);
    resource.metadata.namespace = Some("team-a".to_owned());
    resource
}

fn version(resource_version: u32) -> SecretVersion {
    SecretVersion {
        uid: "uid".to_owned(),
        resource_version: resource_version.to_string(),
    }
}

/// The collections that have entries, with their sizes.
fn held(index: &Index) -> Vec<(&'static str, usize)> {
    index
        .entries()
        .filter(|(_, entries)| *entries > 0)
        .collect()
}

fn resources_gone(index: &mut Index, scope: &Scope) -> Vec<Key> {
    index.resources_listed(scope).flatten().collect()
}

#[test]
fn a_changed_secret_affects_all_resources_that_reference_it() {
    let mut index = Index::default();
    index.apply_resource(&Scope::All, &resource("one", "secret"));
    index.apply_resource(&Scope::All, &resource("two", "secret"));
    let now = Instant::now();
    let affected = index.apply_secret(&Scope::All, key("secret"), &version(1), now);
    assert_eq!(affected, [key("one"), key("two")]);
    let again = index.apply_secret(&Scope::All, key("secret"), &version(1), now);
    assert_eq!(again, [], "a version that was known");
}

#[test]
fn a_resource_follows_only_the_secret_that_it_references_now() {
    let mut index = Index::default();
    index.apply_resource(&Scope::All, &resource("one", "old"));
    index.apply_resource(&Scope::All, &resource("one", "new"));
    let now = Instant::now();
    assert_eq!(
        index.apply_secret(&Scope::All, key("old"), &version(1), now),
        []
    );
    assert_eq!(
        index.apply_secret(&Scope::All, key("new"), &version(1), now),
        [key("one")]
    );
}

#[test]
fn an_object_missing_from_a_relist_is_gone() {
    let mut index = Index::default();
    let scope = Scope::Namespace("team-a".to_owned());
    let other = Scope::Namespace("team-b".to_owned());
    index.apply_resource(&scope, &resource("one", "secret"));
    index.apply_secret(&scope, key("secret"), &version(1), Instant::now());
    let elsewhere = Key::new("team-b", "secret");
    index.apply_secret(&other, elsewhere.clone(), &version(1), Instant::now());
    index.secrets_listing(&scope);
    let gone: Vec<_> = index.secrets_listed(&scope).flatten().collect();
    assert_eq!(gone, [key("secret")]);
    assert_eq!(index.delete_secret(&key("secret")), [key("one")]);
    assert_eq!(index.secret(&key("secret")), None);
    assert!(
        index.secret(&elsewhere).is_some(),
        "another scope's list says nothing of it"
    );
    index.resources_listing(&scope);
    assert_eq!(resources_gone(&mut index, &scope), [key("one")]);
    index.delete_resource(&key("one"));
    assert_eq!(held(&index), [("secrets", 1)]);
    assert!(index.is_listed(&scope) && !index.is_listed(&other));
}

/// A resource for the user `bot`, created at that second. Its uid is its name.
fn claimant(name: &str, created: i64) -> CognitoUserPassword {
    let mut resource = resource(name, name);
    resource.spec.username = "bot".to_owned();
    let created = Timestamp::from_second(created).expect("a time");
    resource.metadata.creation_timestamp = Some(Time(created));
    resource.metadata.uid = Some(name.to_owned());
    resource
}

/// The error of a version of the operator that can't read the resource.
fn unreadable(resource: &CognitoUserPassword) -> DecodeError {
    DecodeError {
        error: String::new(),
        metadata: resource.metadata.clone(),
        user: Some(UserRef {
            user_pool_id: resource.spec.user_pool_id.clone(),
            username: resource.spec.username.clone(),
        }),
    }
}

#[test]
fn an_unreadable_resource_keeps_its_claim_and_is_not_reconciled() {
    let mut index = Index::default();
    let scope = Scope::All;
    let (old, young) = (claimant("old", 1), claimant("young", 2));
    let claim = Claim::of(&young).expect("a user");
    let manager = |index: &Index| index.older(&key("young"), &claim).cloned();
    index.apply_resource(&scope, &young);
    let illegible = unreadable(&old);
    // The first event already shows an unreadable resource.
    let affected = index.apply_unreadable(&scope, &key("old"), &illegible);
    assert_eq!(affected, [key("young")]);
    assert_eq!(manager(&index), Some(key("old")));
    assert!(!index.has_resource(&key("old")) && index.resources() == [key("young")]);
    // The resource becomes readable, and then unreadable again. The manager stays the same.
    assert_eq!(index.apply_resource(&scope, &old), [key("old")]);
    assert!(index.has_resource(&key("old")));
    assert_eq!(index.apply_unreadable(&scope, &key("old"), &illegible), []);
    assert_eq!(manager(&index), Some(key("old")));
    // A list that shows the unreadable resource keeps the claim. A list without the resource removes
    // the claim.
    index.resources_listing(&scope);
    index.apply_resource(&scope, &young);
    index.apply_unreadable(&scope, &key("old"), &illegible);
    assert_eq!(resources_gone(&mut index, &scope), []);
    index.resources_listing(&scope);
    index.apply_resource(&scope, &young);
    assert_eq!(resources_gone(&mut index, &scope), [key("old")]);
    assert_eq!(index.delete_resource(&key("old")), [key("young")]);
    assert_eq!(manager(&index), None);
    index.delete_resource(&key("young"));
    assert_eq!(held(&index), []);
}

#[test]
fn only_a_secret_version_after_the_first_list_has_a_time() {
    let mut index = Index::default();
    let now = Instant::now();
    index.secrets_listing(&Scope::All);
    index.apply_secret(&Scope::All, key("secret"), &version(1), now);
    let _: Vec<_> = index.secrets_listed(&Scope::All).collect();
    assert_eq!(index.changed_at(&key("secret"), "1"), None);
    index.apply_secret(&Scope::All, key("secret"), &version(2), now);
    assert_eq!(index.changed_at(&key("secret"), "2"), Some(now));
    assert_eq!(index.changed_at(&key("secret"), "1"), None);
}

proptest! {
    #[test]
    fn deleted_resources_leave_no_entry(moves in proptest::collection::vec((0_u8..5, 0_u8..3), 0..40)) {
        let mut index = Index::default();
        for (number, secret) in &moves {
            index.apply_resource(&Scope::All, &resource(&format!("r{number}"), &format!("s{secret}")));
        }
        for (number, _) in &moves {
            index.delete_resource(&key(&format!("r{number}")));
        }
        prop_assert_eq!(held(&index), []);
    }
}

type Bot = CognitoUserPassword;

/// A change of the resource `bot`, whose drift is Report.
type Change = fn(&mut Bot);

#[rstest]
#[case::another_version(|it: &mut Bot| it.metadata.generation = Some(2), &["eu-west-1_a"])]
#[case::another_pool(|it: &mut Bot| "eu-west-1_b".clone_into(&mut it.spec.user_pool_id), &["eu-west-1_b"])]
#[case::invalid_pool(|it: &mut Bot| "none".clone_into(&mut it.spec.user_pool_id), &[])]
#[case::ignored(|it: &mut Bot| it.spec.drift = None, &[])]
#[case::suspended(|it: &mut Bot| it.spec.suspend = true, &[])]
#[case::deleted(|it: &mut Bot| it.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)), &[])]
fn the_spec_decides_which_users_are_looked_at(#[case] change: Change, #[case] expected: &[&str]) {
    let mut index = Index::default();
    let mut bot = resource("bot", "secret");
    bot.spec.drift = Some(Drift::Report);
    index.apply_resource(&Scope::All, &bot);
    index.apply_resource(&Scope::All, &resource("ignored", "secret"));
    let looked_at = |index: &Index| {
        let pools = index.pools_looked_at();
        let pools = pools.map(|pool| (pool.to_string(), index.looked_at(pool)));
        pools.collect::<Vec<_>>()
    };
    let of = |pools: &[&str]| {
        let pools = pools.iter();
        let pools = pools.map(|pool| ((*pool).to_owned(), vec![key("bot")]));
        pools.collect::<Vec<_>>()
    };
    assert_eq!(looked_at(&index), of(&["eu-west-1_a"]));
    change(&mut bot);
    index.apply_resource(&Scope::All, &bot);
    assert_eq!(looked_at(&index), of(expected));
    index.apply_claim_only(&Scope::All, &bot);
    assert_eq!(looked_at(&index), [], "unreadable");
    index.apply_resource(&Scope::All, &bot);
    assert_eq!(looked_at(&index), of(expected), "readable again");
    index.delete_resource(&key("bot"));
    assert_eq!(looked_at(&index), [], "gone");
}
