//! Faults of the Deployments and of the election.

use super::*;

#[test]
fn each_fault_of_the_deployment_is_found_and_named() {
    assert_found(&[
        (
            |it| {
                it.operators.clear();
                it.installed = Some(Seen::Known(Vec::new()));
            },
            "operator",
            Failed,
            "no Deployment of the operator is found",
        ),
        (
            |it| {
                it.operators.clear();
                it.installed = Some(Seen::Denied(right("list", "deployments")));
            },
            "operator",
            Unknown,
            "stay unknown: you may not list deployments -A",
        ),
        (
            |it| deployed(it).installed.ready = 0,
            "operator",
            Failed,
            "0 of 2 pods ready",
        ),
        (
            |it| deployed(it).installed.ready = 1,
            "operator",
            Warning,
            "1 of 2 pods ready",
        ),
        (
            |it| {
                deployed(it).installed.desired = 0;
                deployed(it).installed.ready = 0;
            },
            "operator",
            Failed,
            "scaled to 0",
        ),
        (
            |it| deployed(it).installed.settings.leader_elect = false,
            "operator",
            Failed,
            "2 pods act without an election",
        ),
        (
            |it| {
                for page in pages(it) {
                    page.metrics = Ok((200, metrics("0.2.0", 0, 0)));
                }
            },
            "operator",
            Warning,
            "version 0.2.0, image operator:0.1.0; this program, 0.1.0, is older",
        ),
        (
            |it| pages(it)[1].metrics = Ok((200, metrics("0.0.9", 0, 0))),
            "operator",
            Warning,
            "the pods are of versions 0.0.9 and 0.1.0",
        ),
        (
            |it| {
                pages(it).clear();
                it.program = "0.2.0".to_owned();
                it.operators[0].pages = None;
            },
            "operator",
            Warning,
            "this program, 0.2.0, is newer",
        ),
        (
            |it| deployed(it).scrape = Seen::Known(None),
            "metrics",
            Warning,
            "no ServiceMonitor, PodMonitor or scrape annotation",
        ),
        (
            |it| deployed(it).scrape = Seen::Denied(right("list", "services")),
            "metrics",
            Unknown,
            "you may not list services",
        ),
    ]);
}

fn two(facts: &mut Facts, change: impl FnOnce(&mut Installed, &mut Installed)) {
    let (mut a, mut b) = (installed(HOME, "a"), installed("home", "b"));
    change(&mut a, &mut b);
    facts.installed = Some(Seen::Known(vec![a, b]));
}

#[test]
fn two_installations_in_each_others_way_are_found() {
    let watch = |it: &mut Installed, names: &[&str]| it.settings.watch_namespaces = paths(names);
    let mut facts = well();
    two(&mut facts, |a, b| b.namespace.clone_from(&a.namespace));
    let text = &on(&facts, "operator")[0].text;
    assert!(
        text.contains("share the Lease cognito-password-operator"),
        "{text}"
    );
    two(&mut facts, |_, _| ());
    let text = &on(&facts, "operator")[0].text;
    assert_eq!(
        text,
        "cognito-password-operator/a and home/b both watch all namespaces: both set the same passwords"
    );
    two(&mut facts, |a, b| {
        watch(a, &["x", "y"]);
        watch(b, &["y", "z"]);
    });
    let text = &on(&facts, "operator")[0].text;
    assert!(text.contains("both watch y"), "{text}");
    two(&mut facts, |a, b| {
        watch(a, &["x"]);
        watch(b, &["z"]);
    });
    assert!(on(&facts, "operator").iter().all(|it| it.level == Well));
}

#[test]
fn with_two_operators_each_text_names_its_deployment() {
    let mut facts = well();
    let mut other = facts.operators[0].clone();
    if let Some(deployed) = &mut other.deployed {
        deployed.installed = installed("home", "b");
    }
    facts.operators.push(other);
    let leaders = on(&facts, "leader");
    assert_eq!(
        leaders[1].text,
        "home/b: pod-a leads, and renewed the Lease 2s ago"
    );
}

#[test]
fn each_fault_of_the_election_is_found_and_named() {
    assert_found(&[
        (
            |it| it.operators[0].lease = Some(Seen::Known(None)),
            "leader",
            Failed,
            "no Lease",
        ),
        (
            |it| it.operators[0].lease = Some(lease("", Some(1))),
            "leader",
            Failed,
            "nobody",
        ),
        (
            |it| it.operators[0].lease = Some(lease("pod-a_1", Some(76))),
            "leader",
            Failed,
            "pod-a held the Lease and renewed it last 76s ago, which is longer than the 15 s",
        ),
        (
            |it| {
                let mut lease = lease("pod-a_1", Some(76));
                if let Seen::Known(Some(lease)) = &mut lease {
                    lease.is_renewed = true;
                }
                it.operators[0].lease = Some(lease);
            },
            "leader",
            Warning,
            "differs by 76s from this machine's clock",
        ),
        (
            |it| it.operators[0].lease = Some(lease("pod-a_1", None)),
            "leader",
            Failed,
            "pod-a holds the Lease, which has no time of renewal",
        ),
        (
            |it| it.operators[0].lease = Some(lease("pod-z_1", Some(1))),
            "leader",
            Failed,
            "pod-z holds the Lease cognito-password-operator and is no pod of",
        ),
        (
            |it| it.operators[0].lease = Some(Seen::Denied(right("get", "leases"))),
            "leader",
            Unknown,
            "the Lease can't be read: you may not get leases -A",
        ),
        (
            |it| pages(it)[1].metrics = Ok((200, metrics("0.1.0", 1, 0))),
            "leader",
            Failed,
            "2 lead at once: pod-a, pod-b",
        ),
    ]);
}

#[test]
fn beside_a_running_operator_one_that_is_scaled_to_0_is_in_nobodys_way() {
    let mut facts = well();
    let mut second = facts.operators[0].clone();
    let stopped = second.deployed.as_mut().expect("a Deployment");
    stopped.installed.namespace = "second".to_owned();
    let running = stopped.installed.clone();
    (stopped.installed.desired, stopped.installed.ready) = (0, 0);
    let all = vec![
        deployed(&mut facts).installed.clone(),
        stopped.installed.clone(),
    ];
    facts.installed = Some(Seen::Known(all));
    facts.operators.push(second.clone());
    let worst = judge(&facts).into_iter().max_by_key(|it| it.level);
    let worst = worst.expect("there are findings");
    assert_eq!(worst.level, Warning, "{}", worst.text);
    assert!(worst.text.starts_with("second/"), "{}", worst.text);
    let cure = worst.cure.expect("a cure");
    assert!(cure.commands[0].ends_with(" -n second"), "{cure:?}");

    // Running again, it is in the way.
    facts.operators[1]
        .deployed
        .as_mut()
        .expect("a Deployment")
        .installed = running.clone();
    facts.installed = facts
        .installed
        .map(|it| it.map(|it| vec![it[0].clone(), running]));
    let texts: Vec<_> = on(&facts, "operator")
        .into_iter()
        .map(|it| it.text)
        .collect();
    assert!(
        texts
            .iter()
            .any(|it| it.contains("both watch all namespaces")),
        "{texts:?}"
    );
}
