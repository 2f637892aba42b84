//! The record of a Secret whose metadata changed, so that a restart reads nothing: from one fixture, one
//! change and a fixed clock.

use super::{
    cognito::WEAK,
    scene::{Scene, applied, lost, refused},
};
use cognito_password_operator::{
    api::{ConditionStatus, Reason, Status},
    core::protocol::{decision::Decision, observation::OlderResource},
};
use rstest::rstest;

const REST: Decision = Decision::Stay { wake: None };

/// Each state at rest in which a Secret was read.
fn at_rest() -> Vec<(&'static str, Scene)> {
    let after = |value: u8, reply| {
        let mut scene = Scene::new();
        scene.put(value);
        scene.set(&reply);
        scene
    };
    let mut invalid = Scene::new();
    let value = Some(b"PLAINTEXT\n".to_vec());
    invalid.cluster.put("password", value);
    invalid.report();
    let mut without_key = Scene::new();
    without_key.cluster.put("password", None);
    without_key.report();
    without_key.later(300);
    without_key.say();
    let mut temporary = Scene::new();
    temporary.cluster.change(|spec| spec.permanent = false);
    temporary.set(&lost());
    let mut denied = after(0, refused("AccessDeniedException"));
    denied.later(300);
    denied.say();
    vec![
        ("settled", Scene::settled()),
        ("refused", after(WEAK, refused("InvalidPasswordException"))),
        ("in doubt", temporary),
        ("invalid", invalid),
        ("without key", without_key),
        ("denied", denied),
    ]
}

/// The status without the version of the Secret.
fn elsewhere(status: &Status) -> Status {
    let mut status = status.clone();
    if let Some(synced) = &mut status.synced {
        synced.secret_resource_version.clear();
    }
    if let Some(attempt) = &mut status.attempt {
        attempt.secret_resource_version.clear();
    }
    if let Some(unusable) = &mut status.unusable {
        unusable.secret_resource_version.clear();
    }
    status
}

#[test]
fn a_secret_with_new_metadata_is_read_once_and_not_again_after_its_version_is_recorded() {
    for (name, mut scene) in at_rest() {
        assert!(!scene.record_verified(), "{name}: on record already");
        let before = scene.status();
        scene.cluster.touch();
        assert!(!scene.record_verified(), "{name}: not read yet");
        assert_eq!(scene.look(), Decision::Read, "{name}");
        assert!(matches!(scene.read(), Decision::Stay { .. }), "{name}");
        assert!(matches!(scene.look(), Decision::Stay { .. }), "{name}");
        assert_eq!(scene.status(), before, "{name}: not at once");
        assert!(scene.record_verified(), "{name}");
        let after = scene.status();
        assert_ne!(after, before, "{name}");
        assert_eq!(elsewhere(&after), elsewhere(&before), "{name}");
        assert!(!scene.record_verified(), "{name}: once");
        scene.restart();
        assert!(matches!(scene.look(), Decision::Stay { .. }), "{name}");
    }
}

#[rstest]
#[case::another_value(|s: &mut Scene| s.put(1))]
#[case::moved_since(|s: &mut Scene| s.cluster.touch())]
#[case::gone(|s: &mut Scene| s.cluster.secret = None)]
#[case::request(|s: &mut Scene| s.cluster.request())]
#[case::generation(|s: &mut Scene| s.cluster.change(|spec| spec.permanent = false))]
#[case::suspended(|s: &mut Scene| s.cluster.change(|spec| spec.suspend = true))]
#[case::not_granted(|s: &mut Scene| s.cluster.granted = false)]
#[case::duplicate(|s: &mut Scene| s.older = Some(OlderResource::OtherNamespace))]
#[case::restart(|s: &mut Scene| s.restart())]
#[case::new_key(|s: &mut Scene| s.cluster.keys.push(("key-2".to_owned(), 2)))]
fn a_secrets_version_is_not_recorded_if_something_changed_since_the_read(
    #[case] change: fn(&mut Scene),
) {
    let mut scene = Scene::settled();
    scene.cluster.touch();
    assert_eq!(scene.read(), REST);
    change(&mut scene);
    assert!(!scene.record_verified());
}

#[test]
fn a_secrets_version_is_not_recorded_if_its_value_differs() {
    for (name, mut scene) in at_rest() {
        scene.put(1);
        scene.read();
        assert!(!scene.record_verified(), "{name}");
    }
}

#[test]
fn a_secrets_version_is_not_recorded_during_an_attempt() {
    let mut scene = Scene::new();
    scene.set(&refused("AccessDeniedException"));
    scene.cluster.touch();
    scene.until_due();
    let plan = scene.plan();
    scene.write(&plan.ahead);
    scene.cluster.touch();
    scene.read();
    assert!(!scene.record_verified());
}

#[test]
fn a_lost_key_signs_a_verified_value_again_without_a_set() {
    for permanent in [true, false] {
        let mut scene = Scene::new();
        scene.cluster.change(|spec| spec.permanent = permanent);
        scene.set(&applied());
        scene.cluster.touch();
        assert_eq!(scene.read(), REST);
        assert!(scene.record_verified());
        scene.cluster.keys = vec![("key-2".to_owned(), 2)];
        scene.restart();
        assert_eq!(scene.look(), Decision::Read);
        assert!(scene.report().signed_again);
        let settled = (ConditionStatus::True, Reason::PasswordSet, false, false);
        assert_eq!(scene.said(), settled);
        assert_eq!(scene.look(), REST);
    }
}
