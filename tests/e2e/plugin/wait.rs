//! `wait`: when the command ends, and what the command says meanwhile.

use std::time::Duration;

use serde_json::json;

use super::{
    OPERATOR, PLUGIN, Running, VIEW, WIDE, caller, command, read, tenant, wide_plugin as plugin,
};
use crate::support::{ApiFault, Fault, Kind, Proxy, Signal, free_port};
use crate::world::{POOL, World};

const FIRST: &str = "First-Passw0rd";

/// The rule of deploy/examples/wait-for-password.yaml, for the resource `bot`.
fn named(verbs: &[&str]) -> serde_json::Value {
    json!([{
        "apiGroups": ["cognito-password-operator.io"],
        "resources": ["cognitouserpasswords"],
        "resourceNames": ["bot"],
        "verbs": verbs,
    }])
}

/// What `wait bot --timeout=0` answers, with further arguments.
async fn check(world: &World<'_>, more: &[&str]) -> (i32, String, String) {
    let args = ["wait", "bot", "-n", &world.namespace, "--timeout=0"];
    plugin(&world.plane.kubeconfig_path(), &[&args[..], more].concat()).await
}

#[tokio::test]
async fn a_role_that_names_the_resource_is_enough_from_before_it_exists_until_it_is_set() {
    let world = World::new("wait-role").await;
    let kubeconfig = caller(&world, "waiter", &named(&["get", "watch"]));
    let args = ["wait", "bot", "-n", &world.namespace, "--timeout=10m"];
    let mut pod = Running::start(OPERATOR, &kubeconfig, &args);
    let mut person = Running::start(PLUGIN, &kubeconfig, &args);
    for waits in [&mut pod, &mut person] {
        waits
            .says("waiting for Ready: NotFound: there is no such resource yet")
            .await;
    }
    world.apply_resource("bot", |_| ()).await;
    for waits in [&mut pod, &mut person] {
        waits
            .says("NotObserved: the operator hasn't observed the resource yet")
            .await;
    }
    let _operator = world.operator().await;
    for waits in [&mut pod, &mut person] {
        waits.says("waiting for Ready: SecretNotFound: ").await;
    }
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", FIRST).await;
    for waits in [pod, person] {
        let (status, stdout, stderr) = waits.ended().await;
        assert_eq!(status, 0, "{stderr}");
        let met = "cognitouserpassword.cognito-password-operator.io/bot condition met\n";
        assert_eq!(stdout, met);
        // One line for each change, with the namespace and the name first.
        let start = format!("{}/bot: ", world.namespace);
        let lines: Vec<_> = stderr.lines().collect();
        assert!(
            lines.iter().all(|line| line.starts_with(&start)),
            "{stderr}"
        );
        let mut changes = lines.clone();
        changes.dedup();
        assert_eq!(changes, lines);
        assert!(!stderr.contains(FIRST));
    }
    // The caller may not list.
    let account = format!("system:serviceaccount:{}:waiter", world.namespace);
    let list = ["get", "cup", "-n", &world.namespace, "--as", &account];
    let refused = world.plane.try_kubectl(&list, "").expect_err("no right");
    assert!(refused.contains("cannot list"), "{refused}");
}

#[tokio::test]
async fn a_refused_value_is_never_let_through_and_the_next_one_is() {
    let world = World::new("wait-refused").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    let weak = Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.always_for((POOL, "bot"), weak);
    world.apply_secret("bot", "password", "Weak-Passw0rd").await;
    world.wait("bot", "False", "InvalidPassword").await;

    let (status, stdout, stderr) = check(&world, &[]).await;
    assert_eq!((status, &*stdout), (1, ""), "{stderr}");
    let said = format!("{}/bot: timed out: InvalidPassword: ", world.namespace);
    assert!(stderr.starts_with(&said), "{stderr}");
    assert!(stderr.contains("Password not long enough"), "{stderr}");

    // With --fail-fast, the end comes at once.
    let kubeconfig = world.plane.kubeconfig_path();
    let args = ["wait", "bot", "-n", &world.namespace, "--timeout=10m"];
    let fast = Running::start(PLUGIN, &kubeconfig, &[&args[..], &["--fail-fast"]].concat());
    let (status, _, stderr) = fast.ended().await;
    assert_eq!(status, 1, "{stderr}");
    assert!(
        stderr.contains("bot: failed: InvalidPassword: "),
        "{stderr}"
    );

    // Without, the wait lasts until a person has acted.
    let mut patient = Running::start(OPERATOR, &kubeconfig, &args);
    patient.says("InvalidPassword").await;
    world.cognito.heal();
    world
        .apply_secret("bot", "password", "Third-Passw0rd")
        .await;
    let (status, _, stderr) = patient.ended().await;
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(
        world
            .cognito
            .password_log(POOL, "bot")
            .last()
            .map(|it| &*it.1),
        Some("Third-Passw0rd")
    );
}

#[tokio::test]
async fn an_older_generation_and_an_open_request_are_not_ready() {
    let world = World::new("wait-current").await;
    let operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    assert_eq!(check(&world, &[]).await.0, 0);
    operator.kill();

    let change = json!({ "spec": { "federatedUser": "Allow" } });
    world.patch_resource("bot", change).await;
    let (status, _, stderr) = check(&world, &[]).await;
    assert_eq!(status, 1, "{stderr}");
    let said = "NotObserved: Ready is about generation 1, and the present generation is 2";
    assert!(stderr.contains(said), "{stderr}");

    let operator = world.operator().await;
    let args = ["wait", "bot", "-n", &world.namespace];
    let kubeconfig = world.plane.kubeconfig_path();
    let (status, _, stderr) = plugin(&kubeconfig, &args).await;
    assert_eq!(status, 0, "{stderr}");
    operator.kill();

    // A value that the status repeats as a digest.
    let long = "a".repeat(200);
    for request in ["pipeline-7", &*long] {
        world.request("bot", request).await;
        let mut waits = Running::start(PLUGIN, &kubeconfig, &args);
        waits
            .says("RequestOpen: the operator hasn't answered the request")
            .await;
        // Other conditions don't depend on the request.
        assert_eq!(check(&world, &["--for", "stalled"]).await.0, 1);
        let operator = world.operator().await;
        let (status, _, stderr) = waits.ended().await;
        assert_eq!(status, 0, "{stderr}");
        operator.kill();
    }
}

#[tokio::test]
async fn suspended_resources_are_not_ready_and_can_be_waited_for() {
    let world = World::new("wait-suspended").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    let kubeconfig = world.plane.kubeconfig_path();
    let change = json!({
        "metadata": { "annotations": { "cognito-password-operator.io/suspended-because": "INC-7" } },
        "spec": { "suspend": true },
    });
    world.patch_resource("bot", change).await;
    let args = ["wait", "bot", "-n", &world.namespace, "--for=Suspended"];
    let (status, _, stderr) = plugin(&kubeconfig, &args).await;
    assert_eq!(status, 0, "{stderr}");
    let (status, _, stderr) = check(&world, &["--fail-fast"]).await;
    assert_eq!(status, 1, "{stderr}");
    assert!(
        stderr.contains("failed: Suspended: the resource is suspended (INC-7)"),
        "{stderr}"
    );
}

#[tokio::test]
async fn without_the_right_to_watch_the_resource_is_read_and_without_get_the_right_is_named() {
    let world = World::new("wait-rights").await;
    let kubeconfig = caller(&world, "reader", &named(&["get"]));
    let args = ["wait", "bot", "-n", &world.namespace];
    let mut waits = Running::start(OPERATOR, &kubeconfig, &args);
    let may_not = |verb: &str, name: &str| {
        let resource = format!("cognitouserpasswords.cognito-password-operator.io/{name}");
        format!("you may not {verb} {resource} -n {}", world.namespace)
    };
    waits
        .says(&format!(
            "{}, so the resource is read every 2 s",
            may_not("watch", "bot")
        ))
        .await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    let (status, _, stderr) = waits.ended().await;
    assert_eq!(status, 0, "{stderr}");

    // Another name isn't in the Role. The other resource is reported all the same.
    let args = ["wait", "bot", "other", "-n", &world.namespace];
    let (status, stdout, stderr) = plugin(&kubeconfig, &args).await;
    assert_eq!(status, 3, "{stderr}");
    assert!(stdout.contains("/bot condition met"), "{stdout}");
    let wanted = format!(
        "{}/other: not allowed: {}\n",
        world.namespace,
        may_not("get", "other")
    );
    assert_eq!(stderr, wanted);
}

#[tokio::test]
async fn a_wait_survives_broken_watches_and_an_api_server_that_is_away() {
    let world = World::new("wait-outage").await;
    world.apply_resource("bot", |_| ()).await;
    let _operator = world.operator().await;
    world.wait("bot", "False", "SecretNotFound").await;
    let proxy = Proxy::start(world.plane);
    world
        .plane
        .kubectl(&["create", "serviceaccount", "waiter", "-n", &world.namespace]);
    let binding = [
        "create",
        "rolebinding",
        "waiter",
        "--clusterrole",
        VIEW[0],
        "-n",
    ];
    let account = format!("--serviceaccount={0}:waiter", world.namespace);
    world
        .plane
        .kubectl(&[&binding[..], &[&world.namespace, &account]].concat());
    let token = world.plane.token_for(&world.namespace, "waiter");
    let name = format!("{}-waiter", world.namespace);
    let kubeconfig = proxy.kubeconfig(world.plane, &name, &token);

    // The first watches fail: the version is too old, at once or later, or the API server is overloaded.
    for fault in [
        ApiFault::Gone,
        ApiFault::GoneLater,
        ApiFault::TooManyRequests,
        ApiFault::DropBefore,
    ] {
        proxy.next(Kind::Watch, fault);
    }
    let args = ["wait", "bot", "-n", &world.namespace, "--timeout=10m"];
    let mut waits = Running::start(OPERATOR, &kubeconfig, &args);
    waits.says("SecretNotFound").await;
    // A version that is too old is no trouble worth a line. The other two are.
    for _ in 0..2 {
        waits.says("can't be read, and is tried again").await;
        waits.says("SecretNotFound").await;
    }
    assert_eq!(proxy.met().len(), 4, "{:?}", proxy.met());
    // The API server is away for reads and watches. The next watch may not have begun yet, so watches are cut again
    // and again.
    proxy.always(Kind::ResourceRead, ApiFault::DropBefore);
    let cut = async {
        loop {
            proxy.cut_watches();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = waits.says("can't be read, and is tried again") => {}
        () = cut => {}
    }
    proxy.heal();
    waits.says("SecretNotFound").await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", FIRST).await;
    let (status, _, stderr) = waits.ended().await;
    assert_eq!(status, 0, "{stderr}");

    // Nobody can tell: 3, not 1.
    proxy.always(Kind::ResourceRead, ApiFault::InternalError);
    let once = ["wait", "bot", "-n", &world.namespace, "--timeout=0"];
    let (status, _, stderr) = plugin(&kubeconfig, &once).await;
    assert_eq!(status, 3, "{stderr}");
    assert!(stderr.contains("bot: unknown: "), "{stderr}");
}

#[tokio::test]
async fn the_document_for_programs_has_every_resource() {
    let world = World::new("wait-json").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    let kubeconfig = tenant(&world, "viewer", VIEW);
    let args = [
        "wait",
        "bot",
        "other",
        "-n",
        &world.namespace,
        "--timeout=0",
        "-o",
        "json",
    ];
    let (status, stdout, stderr) = plugin(&kubeconfig, &args).await;
    assert_eq!((status, &*stderr), (1, ""));
    let document: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(
        document["apiVersion"],
        "cli.cognito-password-operator.io/v1alpha1"
    );
    assert_eq!(document["kind"], "Wait");
    assert_eq!(document["exitStatus"], 1);
    let [bot, other] = &document["resources"].as_array().expect("a list")[..] else {
        panic!("{document:#}");
    };
    assert_eq!(
        (&bot["state"], &bot["reason"]),
        (&json!("Met"), &json!("PasswordSet"))
    );
    assert_eq!(
        (&other["state"], &other["reason"]),
        (&json!("TimedOut"), &json!("NotFound"))
    );
    assert_eq!(other["namespace"], world.namespace);
}

#[tokio::test]
async fn sigterm_ends_the_first_process_of_a_container() {
    let world = World::new("wait-sigterm").await;
    let args = ["wait", "bot", "-n", &world.namespace];
    let mut waits = Running::start(OPERATOR, &world.plane.kubeconfig_path(), &args);
    waits.says("NotFound").await;
    let pid = rustix::process::Pid::from_raw(waits.pid()).expect("a pid");
    rustix::process::kill_process(pid, Signal::TERM).expect("the command runs");
    let (status, _, stderr) = waits.ended().await;
    assert_eq!(status, 3, "{stderr}");
    assert!(
        stderr.ends_with("error: a signal ended the wait\n"),
        "{stderr}"
    );
}

#[tokio::test]
async fn without_an_api_server_the_answer_is_unknown_and_mistakes_are_usage_errors() {
    let world = World::new("wait-usage").await;
    let url = format!("https://127.0.0.1:{}", free_port());
    let name = format!("{}-nowhere", world.namespace);
    let nowhere = world.plane.kubeconfig_for_token_at(&url, &name, "none");
    let output = command(OPERATOR, &nowhere, &["wait", "bot", "--timeout=0"])
        .env("COLUMNS", WIDE)
        .output();
    let (status, stdout, stderr) = read(output.await.expect("it starts"));
    assert_eq!((status, &*stdout), (3, ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for args in [
        &["wait"][..],
        &["wait", "bot", "--timeout=soon"],
        &["wait", "bot", "--for=Perfect"],
    ] {
        let (status, _, stderr) = plugin(&nowhere, args).await;
        assert_eq!(status, 2, "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
}
