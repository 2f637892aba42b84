//! Faults of Kubernetes and of the CRDs.

use super::*;
use std::collections::BTreeMap;

fn minor(facts: &mut Facts, minor: &str) {
    if let Ok(it) = &mut facts.kubernetes {
        minor.clone_into(&mut it.minor);
    }
}

/// Changes the first CRD.
fn first_crd(facts: &mut Facts, change: impl FnOnce(&mut StoredCrd)) {
    if let Some(Seen::Known(stored)) = &mut facts.crds.stored {
        change(&mut stored[0]);
    }
}

#[test]
fn without_the_right_to_read_crds_the_served_fields_are_judged() {
    assert_found(&[
        (
            |it| {
                it.crds.stored = Some(Seen::Denied(right("get", "crds")));
                it.crds.lacks = Some(BTreeMap::new());
            },
            "crds",
            Unknown,
            "with all fields of 0.1.0; whether the rest is too is unknown: you may not get crds",
        ),
        (
            |it| {
                it.crds.stored = Some(Seen::Denied(right("get", "crds")));
                let lacks = ("cognitouserpasswords".to_owned(), paths(&["spec.drift"]));
                it.crds.lacks = Some(BTreeMap::from([lacks]));
            },
            "crds",
            Failed,
            "cognitouserpasswords is older than 0.1.0: lacks spec.drift",
        ),
    ]);
    let mut facts = of_operator();
    facts.crds.lacks = Some(BTreeMap::new());
    let found = &on(&facts, "crds")[0];
    assert_eq!(found.level, Well);
    assert!(
        found.text.ends_with("is served, with all fields of 0.1.0"),
        "{found:?}"
    );
}

#[test]
fn each_fault_of_the_cluster_is_found_and_named() {
    assert_found(&[
        (|it| minor(it, "31"), "kubernetes", Warning, "1.31"),
        (|it| minor(it, "31+"), "kubernetes", Warning, "1.31+"),
        (|it| minor(it, ""), "kubernetes", Warning, "not a known"),
        (
            |it| it.kubernetes = Err(down()),
            "kubernetes",
            Unknown,
            "it is down",
        ),
        (
            |it| it.crds.kinds = Ok(vec!["cognitouserpasswords".to_owned()]),
            "crds",
            Failed,
            "lacks cognitouserpasswords/status, cognitouserpoolgrants",
        ),
        (
            |it| it.crds.kinds = Err(down()),
            "crds",
            Unknown,
            "it is down",
        ),
        (
            |it| it.crds.stored = Some(Seen::Denied(right("get", "crds"))),
            "crds",
            Unknown,
            "is served; whether the schemas are of 0.1.0 is unknown: you may not get crds",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["spec.drift", "status.foundAs"]);
                });
            },
            "crds",
            Failed,
            "cognitouserpasswords is older than 0.1.0: lacks spec.drift, status.foundAs",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["a", "b", "c", "d", "e", "f"]);
                });
            },
            "crds",
            Failed,
            "lacks a, b, c, d, and 2 more",
        ),
        (
            |it| first_crd(it, |crd| crd.difference.unknown = paths(&["spec.later"])),
            "crds",
            Warning,
            "is newer than 0.1.0: has spec.later",
        ),
        (
            |it| first_crd(it, |crd| crd.difference.changed = paths(&["spec.username"])),
            "crds",
            Warning,
            "has other rules than 0.1.0 for spec.username",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["spec.a"]);
                    crd.difference.unknown = paths(&["spec.b"]);
                });
            },
            "crds",
            Failed,
            "of another version than 0.1.0: lacks spec.a, and has spec.b",
        ),
        (
            |it| first_crd(it, |crd| crd.is_established = false),
            "crds",
            Failed,
            "not established",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.stored_versions = paths(&["v1alpha0", "v1alpha1"]);
                });
            },
            "crds",
            Warning,
            "may have objects stored as v1alpha0",
        ),
        (
            |it| first_crd(it, |crd| crd.storage = "v1".to_owned()),
            "crds",
            Warning,
            "stored as v1, not as v1alpha1",
        ),
    ]);
}

#[test]
fn a_plus_sign_of_a_distribution_does_no_harm() {
    let mut facts = well();
    minor(&mut facts, "32+");
    assert_eq!(levels(&facts)[0], ("kubernetes", Well));
}
