//! `grants` answers as the operator decides, and says what the caller may not read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{PLUGIN, VIEW, plugin, tenant};
use crate::support::{operator, scratch};
use crate::world::{POOL, SOON, World};

/// The exit status and the output of `grants` with these arguments.
async fn grants(kubeconfig: &Path, args: &[&str]) -> (i32, String) {
    let (status, said, errors) = plugin(kubeconfig, &[&["grants"][..], args].concat()).await;
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{line}\n{said}");
    }
    (status, said + &errors)
}

/// The text in one line, as it was before it was broken into lines.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn document(kubeconfig: &Path, args: &[&str]) -> Value {
    let args = [&["grants"][..], args, &["-o", "json"]].concat();
    let (status, said, errors) = plugin(kubeconfig, &args).await;
    let document: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}"));
    assert_eq!(document["exitStatus"], status);
    document
}

/// A file with a grant of one user to a namespace.
fn file(name: &str, namespace: &str, user: &str) -> PathBuf {
    let grant = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": POOL,
            "usernames": [user],
            "namespaces": { "names": [namespace] },
        },
    });
    let path = scratch("grants").join(format!("{name}.yaml"));
    fs::write(&path, grant.to_string()).expect("written");
    path
}

#[tokio::test]
async fn the_answers_are_what_the_operator_decides() {
    let (world, _turn) = World::alone("plugin-grants").await;
    let other = world.neighbour("plugin-other").await;
    other.revoke().await;
    let running = world.cluster_wide().start().await;
    running.wait_ready(SOON).await;
    let admin = world.plane.kubeconfig_path();
    let (ours, theirs) = (&*world.namespace, &*other.namespace);
    world.in_sync("bot", "First-Passw0rd").await;
    world.cognito.add_user(POOL, "guest");
    other.apply_resource("guest", |_| ()).await;
    other.wait("guest", "False", "NotGranted").await;

    let of = |user| ["--user", user, "--pool", POOL];
    let test = |namespace, user| [&["test", "-n", namespace][..], &of(user)].concat();
    let (status, said) = grants(&admin, &test(ours, "bot")).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        flat(&said).contains(&format!("{ours} fits: in eu-west-1")),
        "{said}"
    );
    let (status, said) = grants(&admin, &test(theirs, "guest")).await;
    assert_eq!(status, 1, "{said}");
    let why = format!("namespaces.names has {ours}, and not {theirs}");
    assert!(flat(&said).contains(&why), "{said}");
    let tested = document(&admin, &test(theirs, "guest")).await;
    assert_eq!(tested["kind"], "GrantTest");
    assert_eq!(tested["admission"], "NotGranted");
    assert_eq!(tested["grants"][0]["name"], ours);
    let (status, said) = grants(&admin, &test("no-such-place", "bot")).await;
    assert_eq!(status, 1, "{said}");
    assert!(
        flat(&said).contains("there is no namespace no-such-place"),
        "{said}"
    );

    let (status, said) = grants(&admin, &[&["who"][..], &of("bot")].concat()).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        flat(&said).contains(&format!("{ours}/bot manages bot")),
        "{said}"
    );
    assert!(!said.contains(theirs), "{said}");
    let held = document(&admin, &[&["who"][..], &of("guest")].concat()).await;
    let namespaces = held["namespaces"].as_array().expect("a list");
    let of_theirs = namespaces.iter().find(|it| it["namespace"] == theirs);
    assert_eq!(of_theirs.expect("listed")["admission"], "NotGranted");

    // What the difference says comes true.
    let new = file(theirs, theirs, "guest");
    let new = new.to_str().expect("text");
    let (status, said) = grants(&admin, &["diff", "-f", new]).await;
    assert_eq!(status, 1, "{said}");
    assert!(
        flat(&said).contains(&format!("+ {theirs}/guest (guest of {POOL})")),
        "{said}"
    );
    world.plane.kubectl(&["apply", "-f", new]);
    other.wait("guest", "False", "SecretNotFound").await;
    let (status, said) = grants(&admin, &["diff", "-f", new]).await;
    assert_eq!(status, 0, "{said}");
    let gone = document(&admin, &["diff", "--delete", theirs]).await;
    assert_eq!(gone["resources"][0]["change"], "Loses");
    assert_eq!(gone["resources"][0]["after"]["admission"], "NotGranted");
    assert_eq!(gone["patterns"][0]["namespaces"], json!([theirs]));
    other.revoke().await;
    other.wait("guest", "False", "NotGranted").await;

    // An operator of some namespaces uses no grants. Its settings are read from its Deployment.
    let set = |variable: &str| {
        let deployment = "deployment/cognito-password-operator";
        world.plane.kubectl(&[
            "set",
            "env",
            deployment,
            variable,
            "-n",
            operator::NAMESPACE,
        ]);
    };
    set(&format!("CPO_WATCH_NAMESPACES={theirs}"));
    let (in_theirs, said) = grants(&admin, &test(theirs, "guest")).await;
    assert!(flat(&said).contains("uses no grants"), "{said}");
    let (in_ours, said) = grants(&admin, &test(ours, "bot")).await;
    assert!(
        flat(&said).contains("doesn't watch this namespace"),
        "{said}"
    );
    set("CPO_WATCH_NAMESPACES-");
    assert_eq!((in_theirs, in_ours), (0, 1));
}

#[tokio::test]
async fn without_the_labels_of_a_namespace_names_still_decide() {
    let world = World::new("plugin-labels").await;
    let (plane, namespace) = (world.plane, &*world.namespace);
    let pool = "eu-west-1_PluginLabels";
    world
        .grant(|grant| grant["spec"]["userPoolId"] = pool.into())
        .await;
    let caller = tenant(&world, "reader", &[]);
    let resource = "--resource=cognitouserpoolgrants.cognito-password-operator.io";
    plane.kubectl(&["create", "clusterrole", namespace, "--verb=list", resource]);
    let (role, account) = (
        format!("--clusterrole={namespace}"),
        format!("--serviceaccount={namespace}:reader"),
    );
    plane.kubectl(&["create", "clusterrolebinding", namespace, &role, &account]);
    let of_user = ["--user", "bot", "--pool", pool];
    let test = [&["test", "-n", namespace][..], &of_user].concat();
    let (status, said) = grants(&caller, &test).await;
    assert_eq!(status, 0, "{said}");
    let missing = format!("you may not get namespaces/{namespace} -n {namespace}");
    assert!(flat(&said).contains(&missing), "{said}");

    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    world
        .grant(|grant| {
            grant["spec"]["userPoolId"] = pool.into();
            grant["spec"]["namespaces"] = json!({ "selector": selector });
        })
        .await;
    let (status, said) = grants(&caller, &test).await;
    assert_eq!(status, 3, "{said}");
    assert!(
        flat(&said).contains("depends on labels, which can't be read"),
        "{said}"
    );
    let (status, said) = grants(&caller, &[&["who"][..], &of_user].concat()).await;
    assert_eq!(status, 3, "{said}");
    assert!(
        flat(&said).contains("chooses namespaces by labels"),
        "{said}"
    );
    let admin = plane.kubeconfig_path();
    let (status, said) = grants(&admin, &test).await;
    assert_eq!(status, 0, "{said}");
    let (status, said) = grants(&admin, &[&["who"][..], &of_user].concat()).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        flat(&said).contains(&format!("{namespace}: by {namespace}, in eu-west-1")),
        "{said}"
    );
    for kind in ["clusterrole", "clusterrolebinding"] {
        plane.kubectl(&["delete", kind, namespace]);
    }
}

#[tokio::test]
async fn a_grant_is_read_from_standard_input() {
    let world = World::new("plugin-stdin").await;
    let path = file("from-stdin", &world.namespace, "somebody");
    let output = Command::new(PLUGIN)
        .args(["grants", "diff", "-f", "-", "-o", "json"])
        .env_clear()
        .env("KUBECONFIG", world.plane.kubeconfig_path())
        .stdin(fs::File::open(path).expect("a file"))
        .output()
        .await
        .expect("the plugin starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "{document:#}");
    let grants = &document["grants"];
    let added = json!({ "name": "from-stdin", "change": "Added" });
    assert!(
        grants.as_array().is_some_and(|it| it.contains(&added)),
        "{document:#}"
    );
    assert_eq!(document["patterns"][0]["username"], "somebody");
}

#[tokio::test]
async fn a_bad_file_is_refused_as_the_api_server_refuses_it() {
    let world = World::new("plugin-file").await;
    let admin = world.plane.kubeconfig_path();
    let path = file("bad", &world.namespace, "has space");
    let path = path.to_str().expect("text");
    let (status, said) = grants(&admin, &["diff", "-f", path]).await;
    assert_eq!(status, 2, "{said}");
    assert!(
        said.contains("grant bad: spec.usernames must consist of"),
        "{said}"
    );
    world
        .plane
        .try_kubectl(&["apply", "--dry-run=server", "-f", path], "")
        .expect_err("refused");
    let broken = scratch("grants").join("broken.yaml");
    fs::write(&broken, "kind: CognitoUserPoolGrant\nspec: [\n").expect("written");
    let (status, said) = grants(&admin, &["diff", "-f", broken.to_str().expect("text")]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("broken.yaml: line "), "{said}");
    let (status, said) = grants(&admin, &["diff", "-f", "/nonexistent.yaml"]).await;
    assert_eq!(status, 2, "{said}");
    let (status, said) = grants(&admin, &["test", "--user", "a", "--pool", "pool"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("--pool: "), "{said}");
}

#[tokio::test]
async fn a_caller_who_may_not_list_grants_hears_which_right_is_missing() {
    let world = World::new("plugin-blind").await;
    let callers = [
        tenant(&world, "viewer", VIEW),
        tenant(&world, "nobody", &[]),
    ];
    let missing = "you may not list cognitouserpoolgrants.cognito-password-operator.io -A";
    let path = file("more", &world.namespace, "bot");
    let path = path.to_str().expect("text");
    let of_user = ["--user", "bot", "--pool", POOL];
    for caller in &callers {
        let test = ["test", "-n", &*world.namespace];
        for args in [
            [&test[..], &of_user].concat(),
            [&["who"][..], &of_user].concat(),
            vec!["diff", "-f", path],
        ] {
            let (status, said) = grants(caller, &args).await;
            assert_eq!(status, 3, "{args:?}: {said}");
            assert!(flat(&said).contains(missing), "{args:?}: {said}");
        }
    }
}
