use super::*;
use crate::{
    api::{CognitoUserPoolGrantSpec, GrantNamespaces, NamespaceSelector},
    controller::state::{claims::Seniority, compact_record::Text, key::key},
    core::{
        access::grant::Namespace,
        names::{region::Regions, target::Target},
    },
};
use jiff::Timestamp;
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const POOL: &str = "eu-west-1_a";

/// A grant for the users that `usernames` matches, in namespaces with the label `team=WHOM`.
fn grant(pool: &str, usernames: &str, whom: &str) -> Arc<CognitoUserPoolGrant> {
    let selector = NamespaceSelector {
        match_labels: labels(whom),
        match_expressions: Vec::new(),
    };
    let spec = CognitoUserPoolGrantSpec {
        user_pool_id: pool.to_owned(),
        usernames: vec![usernames.to_owned()],
        namespaces: GrantNamespaces {
            names: None,
            selector: Some(selector),
        },
        region: None,
        role_arn: None,
        external_id: None,
    };
    Arc::new(CognitoUserPoolGrant::new("grant", spec))
}

fn labels(team: &str) -> NamespaceLabels {
    [("team".to_owned(), team.to_owned())].into()
}

/// Each change, followed by the judgement of every concerned resource.
impl Grants {
    /// Judges the next concerned resources. Returns the resources with a changed admission.
    fn judge_some(&mut self, walk: &mut ResourceWalk, max: usize) -> Vec<Key> {
        let found = self.next_resources(walk, max);
        assert!(found.len() <= max, "{} at once", found.len());
        found.into_iter().filter(|key| self.judge(key)).collect()
    }

    fn judged(&mut self, mut walk: ResourceWalk) -> Vec<Key> {
        let mut changed = Vec::new();
        while !walk.is_done() {
            changed.extend(self.judge_some(&mut walk, 1));
        }
        changed
    }

    fn set_grant(&mut self, name: &str, object: Arc<CognitoUserPoolGrant>) -> Vec<Key> {
        let walk = self.apply_grant(name, object);
        self.judged(walk)
    }

    fn set_unreadable(&mut self, name: &str) -> Vec<Key> {
        let walk = self.unreadable_grant(name);
        self.judged(walk)
    }

    fn unset_grant(&mut self, name: &str) -> Vec<Key> {
        let walk = self.delete_grant(name);
        self.judged(walk)
    }

    fn set_namespace(&mut self, name: &str, labels: NamespaceLabels) -> Vec<Key> {
        let walk = self.apply_namespace(name, labels);
        self.judged(walk)
    }

    fn unset_namespace(&mut self, name: &str) -> Vec<Key> {
        let walk = self.delete_namespace(name);
        self.judged(walk)
    }

    fn end_grants(&mut self) -> Vec<Key> {
        let RelistChange { gone, walk } = self.grants_listed();
        let mut affected: Vec<_> = gone.iter().flat_map(|it| self.unset_grant(it)).collect();
        affected.extend(self.judged(walk));
        affected
    }

    fn end_namespaces(&mut self) -> Vec<Key> {
        let RelistChange { gone, walk } = self.namespaces_listed();
        let mut affected: Vec<_> = gone
            .iter()
            .flat_map(|it| self.unset_namespace(it))
            .collect();
        affected.extend(self.judged(walk));
        affected
    }
}

fn target(pool: &str, username: &str) -> Target {
    Target::parse(pool, username).expect("valid")
}

fn of(target: Target) -> Claim {
    let seniority = Seniority {
        created: Timestamp::UNIX_EPOCH,
        uid: Text::of("uid"),
    };
    Claim::new(target, seniority)
}

fn claim(pool: &str, username: &str) -> Claim {
    of(target(pool, username))
}

/// Both lists are complete: the namespace `team-a` with the resource `bot`, and no grant.
fn listed(ungranted: UngrantedPolicy) -> Grants {
    let mut grants = Grants::new(ungranted);
    grants.grants_listing();
    grants.namespaces_listing();
    grants.set_namespace("team-a", labels("a"));
    grants.apply_resource(&key("bot"), Some(&claim(POOL, "bot")));
    grants.end_grants();
    grants.end_namespaces();
    grants
}

fn admission(grants: &Grants) -> Admission {
    grants.admission(&key("bot"), &target(POOL, "bot"), Instant::now())
}

fn own() -> Admission {
    Admission::Granted(Authority::own(target(POOL, "bot").pool.region()))
}

#[test]
fn no_admission_is_known_before_grants_and_namespaces_are_listed() {
    let mut grants = Grants::new(UngrantedPolicy::Allow);
    grants.apply_resource(&key("bot"), Some(&claim(POOL, "bot")));
    grants.grants_listing();
    assert_eq!(grants.set_grant("a", grant(POOL, "*", "a")), []);
    assert_eq!(grants.end_grants(), []);
    assert_eq!(admission(&grants), Admission::Unknown);
    grants.namespaces_listing();
    grants.set_namespace("team-a", labels("a"));
    assert_eq!(grants.end_namespaces(), [key("bot")]);
    assert_eq!(admission(&grants), own());
    assert!(grants.is_admitted(&key("bot")));
    assert_eq!(grants.admitted_count("a"), 1);
}

#[test]
fn with_grants_turned_off_every_resource_is_admitted() {
    let mut grants = Grants::default();
    assert!(grants.apply_resource(&key("bot"), Some(&claim(POOL, "bot"))));
    assert_eq!(admission(&grants), own());
}

#[test]
fn with_grants_turned_off_an_unknown_region_admits_no_resource() {
    let made_up = claim("made-up-17_a", "bot");
    for (regions, is_admitted) in [(Regions::OfAws, false), (Regions::Any, true)] {
        let mut grants = Grants::default().within(regions);
        assert_eq!(
            grants.apply_resource(&key("bot"), Some(&made_up)),
            is_admitted
        );
        let admission = grants.admission(&key("bot"), made_up.target(), Instant::now());
        assert_eq!(admission == Admission::UnknownRegion, !is_admitted);
    }
}

#[test]
fn a_grant_names_the_region_of_a_pool_whose_id_does_not() {
    const LOCAL: &str = "local_a";
    let mut grants = listed(UngrantedPolicy::Allow);
    let local = claim(LOCAL, "bot");
    let admission =
        |grants: &Grants| grants.admission(&key("local"), local.target(), Instant::now());
    grants.apply_resource(&key("local"), Some(&local));
    assert_eq!(admission(&grants), Admission::UnknownRegion);
    assert!(!grants.is_admitted(&key("local")));

    let changed = grants.set_grant("a", grant(LOCAL, "*", "a"));
    assert_eq!(changed, [key("local")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
    let entry = grants.grant("a").expect("it is there");
    let why = entry
        .grant
        .as_ref()
        .expect_err("the grant is invalid")
        .to_string();
    assert!(
        why.starts_with("local is not the name of an AWS Region: "),
        "{why}"
    );

    let mut object = (*grant(LOCAL, "*", "a")).clone();
    object.spec.region = Some("eu-west-1".to_owned());
    assert_eq!(grants.set_grant("a", Arc::new(object)), [key("local")]);
    let granted = Admission::Granted(Authority::own(target(POOL, "bot").pool.region()));
    assert_eq!(admission(&grants), granted);
    assert_eq!(grants.unset_grant("a"), [key("local")]);
    assert_eq!(admission(&grants), Admission::UnknownRegion);
}

#[test]
fn a_new_changed_or_deleted_grant_affects_the_resources_that_it_admits() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.apply_resource(&key("alice"), Some(&claim(POOL, "alice")));
    grants.apply_resource(&key("elsewhere"), Some(&claim("eu-west-1_b", "bot")));
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(grants.set_grant("a", grant(POOL, "b*", "a")), [key("bot")]);
    assert_eq!(admission(&grants), own());
    assert_eq!(
        grants.set_grant("a", grant(POOL, "b*", "a")),
        [],
        "the same"
    );
    assert_eq!(grants.set_grant("a", grant(POOL, "a*", "a")).len(), 2);
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(
        grants.set_grant("a", grant("eu-west-1_b", "*", "a")).len(),
        2
    );
    assert_eq!(grants.admitted_count("a"), 1);
    assert_eq!(grants.unset_grant("a"), [key("elsewhere")]);
}

#[test]
fn a_resource_is_admitted_from_its_judgement_until_the_grant_is_deleted() {
    let mut grants = listed(UngrantedPolicy::Deny);
    let walk = grants.apply_grant("a", grant(POOL, "*", "a"));
    assert_eq!(admission(&grants), Admission::Unknown, "not judged yet");
    assert_eq!(grants.judged(walk), [key("bot")]);
    assert_eq!(admission(&grants), own());
    let walk = grants.delete_grant("a");
    assert_eq!(
        admission(&grants),
        Admission::NotGranted,
        "before it is judged"
    );
    assert_eq!(grants.judged(walk), [key("bot")]);
}

#[test]
fn no_portion_of_a_walk_visits_too_many_resources() {
    for whom in ["a", "b"] {
        let mut grants = listed(UngrantedPolicy::Deny);
        for n in 0..1_000 {
            let name = format!("user-{n}");
            grants.apply_resource(&key(&name), Some(&claim(POOL, &name)));
        }
        let mut walk = grants.apply_grant("a", grant(POOL, "*-1*", whom));
        let (mut portions, mut changed) = (0, 0);
        while !walk.is_done() {
            let judged = grants.judge_some(&mut walk, 4).len();
            assert!(judged <= 4);
            changed += judged;
            portions += 1;
        }
        // The grant admits 111 resources or none. The walk visits all 1,000 in both cases.
        assert_eq!(changed, if whom == "a" { 111 } else { 0 });
        assert!(portions >= 1_000 / (4 * 16), "{portions}");
    }
}

#[test]
fn a_deleted_grant_has_no_status_to_write() {
    let mut grants = listed(UngrantedPolicy::Deny);
    for n in 0..100 {
        let name = format!("grant-{n}");
        grants.set_grant(&name, grant(POOL, "*", "a"));
        grants.unset_grant(&name);
    }
    assert!(grants.changed.is_empty() && grants.have_changed());
    assert!(grants.take_changed().is_empty() && !grants.have_changed());
}

#[test]
fn new_labels_of_a_namespace_affect_its_resources() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("b", grant(POOL, "*", "b"));
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(grants.set_namespace("team-a", labels("b")), [key("bot")]);
    assert_eq!(admission(&grants), own());
    assert_eq!(grants.unset_namespace("team-a"), [key("bot")]);
    assert_eq!(admission(&grants), Admission::Unknown);
}

#[test]
fn a_grant_or_namespace_missing_from_a_relist_admits_no_resource() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("a", grant(POOL, "*", "a"));
    grants.grants_listing();
    assert_eq!(admission(&grants), own(), "until the list is complete");
    assert_eq!(grants.end_grants(), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
}

#[test]
fn grants_or_namespaces_that_may_be_out_of_date_admit_no_resource() {
    let mut grants = listed(UngrantedPolicy::Allow);
    let now = Instant::now();
    let at = |grants: &Grants, at| grants.admission(&key("bot"), &target(POOL, "bot"), at);
    let later = now + Duration::from_secs(10);
    for doubt in [Grants::doubt_grants, Grants::doubt_namespaces] {
        doubt(&mut grants, Some(later));
        assert_eq!(at(&grants, now), Admission::Unknown);
        assert_eq!(at(&grants, later), own());
        doubt(&mut grants, None);
        assert_eq!(at(&grants, now), own());
    }
}

#[test]
fn a_pool_named_by_an_unreadable_grant_is_not_open_to_all() {
    let mut grants = listed(UngrantedPolicy::Allow);
    assert_eq!(admission(&grants), own());
    assert_eq!(grants.set_grant("b", grant("eu-west-1_b", "*", "b")), []);
    assert_eq!(admission(&grants), own(), "another pool");
    assert_eq!(grants.set_grant("a", grant(POOL, "*", "b")), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(grants.unset_grant("a"), [key("bot")]);

    let mut invalid = CognitoUserPoolGrant::clone(&grant(POOL, "*", "a"));
    invalid.spec.role_arn = Some("nobody".to_owned());
    assert_eq!(grants.set_grant("a", Arc::new(invalid)), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(grants.unset_grant("a"), [key("bot")]);

    // An unreadable grant may name any pool.
    assert_eq!(grants.set_unreadable("a"), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
    grants.grants_listing();
    assert_eq!(grants.end_grants(), [key("bot")]);
    assert_eq!(admission(&grants), own());
}

#[test]
fn a_grant_that_becomes_unreadable_admits_no_resource() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("a", grant(POOL, "*", "a"));
    assert_eq!(grants.set_unreadable("a"), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
    assert_eq!(grants.set_grant("a", grant(POOL, "*", "a")), [key("bot")]);
    assert_eq!(admission(&grants), own());
}

#[test]
fn a_grant_is_marked_for_a_status_write_when_its_status_may_change() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("a", grant(POOL, "*", "a"));
    assert_eq!(grants.take_changed(), ["a".into()].into());
    assert!(!grants.have_changed());
    grants.apply_resource(&key("bot"), Some(&claim(POOL, "bot")));
    assert!(!grants.have_changed(), "it was there");
    grants.delete_resource(&key("bot"));
    assert_eq!(grants.take_changed(), ["a".into()].into());
    assert_eq!(grants.admitted_count("a"), 0);
    let authority = Authority::own(target(POOL, "bot").pool.region());
    grants.authority_changed(&authority);
    assert_eq!(grants.take_changed(), ["a".into()].into());
}

#[test]
fn a_grant_that_is_being_deleted_admits_no_resource() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("a", grant(POOL, "*", "a"));
    let mut going = CognitoUserPoolGrant::clone(&grant(POOL, "*", "a"));
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        jiff::Timestamp::UNIX_EPOCH,
    ));
    going.metadata.finalizers = Some(vec!["example.com/slow".to_owned()]);
    assert_eq!(grants.set_grant("a", Arc::new(going)), [key("bot")]);
    assert_eq!(admission(&grants), Admission::NotGranted);
}

#[test]
fn conflicting_grants_are_named() {
    let mut grants = listed(UngrantedPolicy::Deny);
    grants.set_grant("one", grant(POOL, "*", "a"));
    assert_eq!(grants.conflicting(&key("bot")), None);
    let mut elsewhere = CognitoUserPoolGrant::clone(&grant(POOL, "b*", "a"));
    elsewhere.spec.region = Some("us-east-1".to_owned());
    assert_eq!(grants.set_grant("two", Arc::new(elsewhere)), [key("bot")]);
    assert_eq!(admission(&grants), Admission::Ambiguous);
    let named = grants.conflicting(&key("bot"));
    assert_eq!(named, Some(vec!["one".into(), "two".into()]));
    assert_eq!(grants.admitted_count("one"), 0);
    assert_eq!(grants.unset_grant("one"), [key("bot")]);
    assert_eq!(grants.conflicting(&key("bot")), None);
    assert_eq!(grants.admitted_count("two"), 1);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Grant(u8, u8, u8),
    UnreadableGrant(u8),
    Revoke(u8),
    Label(u8, u8),
    Unlabel(u8),
    Resource(u8, u8, u8),
    Gone(u8, u8),
}

fn happens() -> impl Strategy<Value = Event> {
    let three = || 0_u8..3;
    prop_oneof![
        3 => (three(), three(), three()).prop_map(|(a, b, c)| Event::Grant(a, b, c)),
        1 => three().prop_map(Event::UnreadableGrant),
        2 => three().prop_map(Event::Revoke),
        3 => (three(), three()).prop_map(|(a, b)| Event::Label(a, b)),
        1 => three().prop_map(Event::Unlabel),
        4 => (three(), three(), three()).prop_map(|(a, b, c)| Event::Resource(a, b, c)),
        2 => (three(), three()).prop_map(|(a, b)| Event::Gone(a, b)),
    ]
}

proptest! {
    /// Compares the index with a scan of all grants. After some changes, every concerned resource is
    /// judged. After other changes, only some of the resources are judged before the next change.
    #[test]
    fn admissions_changes_and_counts_equal_a_scan_of_all_grants(
        allow in any::<bool>(),
        events in proptest::collection::vec((happens(), proptest::option::of(0_usize..3)), 1..60),
    ) {
        let mut grants = listed(if allow { UngrantedPolicy::Allow } else { UngrantedPolicy::Deny });
        grants.delete_resource(&key("bot"));
        let mut there: HashMap<Key, Target> = HashMap::new();
        let mut before: HashMap<Key, Admission> = HashMap::new();
        let mut begun: VecDeque<ResourceWalk> = VecDeque::new();
        let mut affected_so_far: HashSet<Key> = HashSet::new();
        let name = |number: u8| format!("{number}");
        let resource = |namespace: u8, number: u8| Key::new(&name(namespace), &name(number));
        let last = events.len() - 1;
        for (number, (event, portions)) in events.into_iter().enumerate() {
            let walk = match event {
                Event::Grant(number, pool, whom) => {
                    // Pool 2 stands for an invalid pool id.
                    let pool = if pool == 2 { "none".to_owned() } else { format!("eu-west-1_{pool}") };
                    grants.apply_grant(&name(number), grant(&pool, "*", &name(whom)))
                }
                Event::UnreadableGrant(number) => grants.unreadable_grant(&name(number)),
                Event::Revoke(number) => grants.delete_grant(&name(number)),
                Event::Label(namespace, whom) => grants.apply_namespace(&name(namespace), labels(&name(whom))),
                Event::Unlabel(namespace) => grants.delete_namespace(&name(namespace)),
                Event::Resource(namespace, number, pool) => {
                    let target = target(&format!("eu-west-1_{pool}"), "bot");
                    let key = resource(namespace, number);
                    grants.apply_resource(&key, Some(&of(target.clone())));
                    there.insert(key.clone(), target);
                    affected_so_far.insert(key);
                    ResourceWalk::default()
                }
                Event::Gone(namespace, number) => {
                    let key = resource(namespace, number);
                    grants.delete_resource(&key);
                    there.remove(&key);
                    before.remove(&key);
                    ResourceWalk::default()
                }
            };
            begun.push_back(walk);
            if let Some(portions) = portions.filter(|_| number < last) {
                for _ in 0..portions {
                    if let Some(mut walk) = begun.pop_front() {
                        affected_so_far.extend(grants.judge_some(&mut walk, 1));
                        begun.push_back(walk);
                    }
                }
                continue;
            }
            for walk in begun.drain(..) {
                affected_so_far.extend(grants.judged(walk));
            }
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for (key, target) in &there {
                let now = grants.admission(key, target, Instant::now());
                prop_assert_eq!(grants.is_admitted(key), matches!(now, Admission::Granted(_)));
                if before.insert(key.clone(), now.clone()) != Some(now.clone()) {
                    prop_assert!(affected_so_far.contains(key), "{} isn't affected", key);
                }
                let Some(labels) = grants.namespaces.known.get(key.namespace()) else {
                    prop_assert_eq!(now, Admission::Unknown);
                    continue;
                };
                let namespace = Namespace { name: key.namespace(), labels };
                let mut fits = false;
                for (name, entry) in &grants.by_name.known {
                    if entry.grant.as_ref().is_ok_and(|grant| grant.admits(target, namespace)) {
                        fits = true;
                        *counts.entry(name).or_default() += 1;
                    }
                }
                let open = allow && !grants.pools.contains_key(&target.pool) && grants.unreadable.is_empty();
                prop_assert_eq!(matches!(now, Admission::Granted(_)), fits || open);
            }
            let counted: HashMap<&str, usize> =
                grants.admitted_counts.iter().map(|(name, count)| (&**name, *count)).collect();
            prop_assert_eq!(counted, counts);
            affected_so_far.clear();
        }
        for key in there.keys() {
            grants.delete_resource(key);
        }
        prop_assert!(grants.resources.is_empty() && grants.of_pool.is_empty() && grants.of_namespace.is_empty());
        prop_assert!(grants.admitted_counts.is_empty());
    }
}
