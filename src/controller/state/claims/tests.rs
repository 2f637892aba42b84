use super::{super::key::key, *};
use proptest::prelude::*;

fn claim(username: &str, created: i64, uid: &str) -> Claim {
    let target = Target::parse("eu-west-1_a", username).expect("valid");
    let created = Timestamp::from_second(created).expect("a time");
    let uid = Text::of(uid);
    Claim::new(target, Seniority { created, uid })
}

impl Claims {
    fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.resources.is_empty()
            && self.stale.is_empty()
            && self.is_stale.is_empty()
            && self.looked_at.is_empty()
    }
}

#[test]
fn the_oldest_resource_manages_the_user_and_the_lower_uid_breaks_ties() {
    let mut claims = Claims::default();
    let young = claim("bot", 2, "a");
    let late = claim("Bot", 1, "c");
    let old = claim("BOT", 1, "b");
    assert_eq!(claims.apply(&key("young"), Some(young.clone()), true), []);
    assert_eq!(claims.older(&key("young"), &young), None);
    assert_eq!(
        claims.apply(&key("late"), Some(late.clone()), true),
        [key("young")]
    );
    let affected = claims.apply(&key("old"), Some(old.clone()), true);
    assert_eq!(affected, [key("late"), key("young")]);
    assert_eq!(claims.older(&key("old"), &old), None);
    assert_eq!(claims.older(&key("late"), &late), Some(&key("old")));
    assert_eq!(claims.older(&key("young"), &young), Some(&key("old")));
    assert_eq!(
        claims.apply(&key("old"), Some(old), true),
        [],
        "known already"
    );
}

#[test]
fn a_younger_resource_affects_no_other_when_added_or_removed() {
    let mut claims = Claims::default();
    claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
    assert_eq!(
        claims.apply(&key("young"), Some(claim("bot", 2, "b")), true),
        []
    );
    assert_eq!(claims.remove(&key("young")), []);
    assert_eq!(
        claims.apply(&key("other"), Some(claim("other", 0, "c")), true),
        []
    );
}

#[test]
fn the_removal_of_the_manager_affects_all_other_claimants() {
    let mut claims = Claims::default();
    let next = claim("bot", 2, "b");
    claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
    claims.apply(&key("next"), Some(next.clone()), true);
    claims.apply(&key("last"), Some(claim("bot", 3, "c")), true);
    assert_eq!(claims.remove(&key("old")), [key("next"), key("last")]);
    assert_eq!(claims.older(&key("next"), &next), None);
}

#[test]
fn a_recreated_resource_has_a_new_user_and_a_new_seniority() {
    let mut claims = Claims::default();
    let former = claim("bot", 1, "a");
    let waiting = claim("bot", 2, "b");
    claims.apply(&key("old"), Some(former), true);
    claims.apply(&key("waiting"), Some(waiting.clone()), true);
    // The watch skips the deletion and shows only the new object, which names another user.
    let anew = claim("other", 3, "c");
    let affected = claims.apply(&key("old"), Some(anew.clone()), true);
    assert_eq!(affected, [key("waiting")]);
    assert_eq!(claims.older(&key("waiting"), &waiting), None);
    assert_eq!(claims.older(&key("old"), &anew), None);
    // The object is created anew once more, for the first user.
    let again = claim("bot", 4, "d");
    assert_eq!(claims.apply(&key("old"), Some(again.clone()), true), []);
    assert_eq!(claims.older(&key("old"), &again), Some(&key("waiting")));
}

#[test]
fn a_recreated_resource_is_no_duplicate_of_itself() {
    let mut claims = Claims::default();
    claims.apply(&key("bot"), Some(claim("bot", 1, "a")), true);
    // The caller has read the new object; the watch still shows the former one.
    assert_eq!(claims.older(&key("bot"), &claim("bot", 2, "b")), None);
}

#[test]
fn a_resource_whose_claim_becomes_invalid_gives_up_its_user() {
    let mut claims = Claims::default();
    claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
    claims.apply(&key("next"), Some(claim("bot", 2, "b")), true);
    assert_eq!(claims.apply(&key("old"), None, true), [key("next")]);
}

#[test]
fn claimants_without_admission_cost_the_manager_nothing() {
    let mut claims = Claims::default();
    let manager = claim("bot", 9_999, "m");
    claims.apply(&key("manager"), Some(manager.clone()), true);
    for n in 0..5_000 {
        let older = claim("bot", n, &format!("{n:05}"));
        let affected = claims.apply(&key(&format!("r{n}")), Some(older), false);
        assert_eq!(affected, []);
    }
    let user = manager.user();
    assert_eq!(claims.users[&user].admitted.len(), 1);
    assert_eq!(claims.older(&key("manager"), &manager), None);
    assert_eq!(
        claims.affected_by_call(&key("manager"), &manager).count(),
        0
    );
    assert_eq!(claims.admit(&key("r7"), true), [key("manager")]);
    assert_eq!(claims.older(&key("manager"), &manager), Some(&key("r7")));
    assert_eq!(claims.remove(&key("r7")), [key("manager")]);
}

#[test]
fn of_many_claimants_few_are_woken_at_once_and_the_others_in_portions() {
    let mut claims = Claims::default();
    for n in 0..500 {
        let it = claim("bot", n, &format!("{n:05}"));
        claims.apply(&key(&format!("r{n:03}")), Some(it), true);
    }
    while claims.has_stale() {
        claims.take_stale(64);
    }
    assert_eq!(claims.remove(&key("r000")), [key("r001")]);
    assert_eq!(claims.take_stale(100).len(), 100);
    // A change of the manager restarts the portions.
    assert_eq!(claims.remove(&key("r001")), [key("r002")]);
    let mut woken = Vec::new();
    while claims.has_stale() {
        woken.extend(claims.take_stale(64));
    }
    let all: Vec<_> = (2..500).map(|n| key(&format!("r{n:03}"))).collect();
    assert_eq!(woken, all);
}

#[test]
fn the_last_set_of_a_rival_is_known_despite_wrong_clocks() {
    let mut claims = Claims::default();
    let [one, two] = [claim("bot", 1, "a"), claim("bot", 2, "b")];
    claims.apply(&key("one"), Some(one.clone()), true);
    claims.apply(&key("two"), Some(two), true);
    let at = |second| Timestamp::from_second(second).expect("a time");
    let rival_at = |claims: &Claims| claims.rival_at(&key("one"), &one, at(100));
    claims.acted(&key("one"), [Some(at(99)), Some(at(98))]);
    assert_eq!(rival_at(&claims), None);
    claims.acted(&key("two"), [Some(at(50)), Some(at(500))]);
    assert_eq!(rival_at(&claims), Some(at(50)), "not what is to come");
    claims.acted(&key("two"), [Some(at(60)), None]);
    assert_eq!(rival_at(&claims), Some(at(60)));
    // The acts of `two` still count after `two` lost its admission, and `two` must learn of acts of
    // others.
    claims.admit(&key("two"), false);
    assert_eq!(rival_at(&claims), Some(at(60)));
    let affected_by_call: Vec<_> = claims.affected_by_call(&key("one"), &one).collect();
    assert_eq!(affected_by_call, [&key("two")]);
    claims.remove(&key("two"));
    assert_eq!(rival_at(&claims), None);
    claims.remove(&key("one"));
    assert!(claims.is_empty());
}

proptest! {
    /// Compares the index with a scan of all resources after each event.
    #[test]
    fn each_change_of_the_manager_affects_all_its_claimants(
        events in proptest::collection::vec((0_u8..5, proptest::option::of((0_u8..2, 0_i64..4))), 1..40)
    ) {
        let mut claims = Claims::default();
        let mut there: HashMap<Key, Claim> = HashMap::new();
        let manager = |there: &HashMap<Key, Claim>, of: &Claim| {
            let rivals = there.iter().filter(|(_, it)| it.user() == of.user());
            rivals.min_by_key(|(_, it)| it.0.seniority.clone()).map(|(key, _)| key.clone())
        };
        for (number, (name, what)) in events.into_iter().enumerate() {
            let name = key(&format!("r{name}"));
            let claimed = what.map(|(user, created)| claim(&format!("u{user}"), created, &format!("{number:02}")));
            let before = there.clone();
            let affected = if let Some(claimed) = &claimed {
                there.insert(name.clone(), claimed.clone());
                claims.apply(&name, Some(claimed.clone()), true)
            } else {
                there.remove(&name);
                claims.remove(&name)
            };
            for (resource, claim) in &there {
                let now = manager(&there, claim).filter(|manager| manager != resource);
                prop_assert_eq!(claims.older(resource, claim), now.as_ref());
                let was = manager(&before, claim);
                // The caller decides on the changed resource itself in any case.
                if was != manager(&there, claim) && *resource != name {
                    prop_assert!(affected.contains(resource), "{} isn't affected", resource);
                }
            }
        }
        for name in 0..5 {
            claims.remove(&key(&format!("r{name}")));
        }
        prop_assert!(claims.is_empty(), "something is left behind");
    }
}

proptest! {
    #[test]
    fn uids_order_resources_of_the_same_second_by_their_texts(
        [one, other] in proptest::array::uniform2("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ) {
        let seniority = |uid: &str| Seniority {
            created: Timestamp::UNIX_EPOCH,
            uid: Text::of(uid),
        };
        prop_assert_eq!(seniority(&one).cmp(&seniority(&other)), one.cmp(&other));
    }
}
