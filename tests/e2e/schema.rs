//! The API server's validation and defaults of a resource. Each refusal names the rule, and absent fields get
//! their defaults.

mod grants;

use serde_json::{Value, json};

use crate::support::ControlPlane;

/// A namespace on a control plane with our CRDs.
struct Schema {
    plane: &'static ControlPlane,
    namespace: String,
}

/// One valid resource; each test changes one thing.
fn valid(name: &str) -> Value {
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": "eu-west-1_AbCdEf123",
            "username": "ci-bot",
            "passwordSecretRef": { "name": "ci-bot-credentials" },
        },
    })
}

impl Schema {
    async fn new(prefix: &str) -> Self {
        let plane = ControlPlane::shared();
        plane.install("deploy/");
        let namespace = plane.new_namespace(prefix).await;
        Self { plane, namespace }
    }

    /// Runs kubectl in this namespace, with the object as the input for `-f -`.
    fn kubectl(&self, args: &[&str], object: &Value) -> Result<String, String> {
        let args = [args, &["-n", &self.namespace]].concat();
        self.plane.try_kubectl(&args, &object.to_string())
    }

    fn apply(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["apply", "-f", "-"], object)
    }

    /// Whether the API server would create the object. An existing object of this name counts as a refusal.
    fn try_create(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["create", "--dry-run=server", "-f", "-"], object)
    }

    fn get(&self, args: &[&str]) -> String {
        let args = [&["get"], args].concat();
        let got = self.kubectl(&args, &json!({}));
        got.unwrap_or_else(|error| panic!("{error}"))
    }

    fn object(&self, name: &str) -> Value {
        let text = self.get(&["cup", name, "-o", "json"]);
        serde_json::from_str(&text).expect("kubectl writes JSON")
    }

    /// Each of these values in the valid resource is refused with these words.
    fn assert_refused(&self, cases: &[(&str, Value, &str)]) {
        let mut wrong = Vec::new();
        for (path, value, sentence) in cases {
            let mut object = valid("refused");
            let (parent, field) = path.rsplit_once('/').expect("a path");
            let parent = object.pointer_mut(parent).expect("the valid one has it");
            parent[field] = value.clone();
            match self.try_create(&object) {
                Ok(_) => wrong.push(format!("{path} = {value} is accepted")),
                Err(said) if !said.contains(sentence) => {
                    wrong.push(format!(
                        "{path} = {value}: {said:?} doesn't say {sentence:?}"
                    ));
                }
                Err(_) => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_resource_is_refused_with_a_message_that_says_what_is_valid() {
    let schema = Schema::new("refused").await;
    let pool = "must be a user pool id such as eu-west-1_AbCdEf123";
    let user = "without white space or line breaks";
    let secret = "must be the name of a Secret in the same namespace";
    let key = "must be a key of the Secret";
    let cases: &[(&str, Value, &str)] = &[
        ("/spec/userPoolId", json!("eu-west-1"), pool),
        ("/spec/userPoolId", json!("eu-west-1_"), pool),
        ("/spec/userPoolId", json!("_AbCdEf123"), pool),
        ("/spec/userPoolId", json!("eu-west-1_AbC dEf"), pool),
        ("/spec/userPoolId", json!("eu-west-1_AbC-dEf"), pool),
        ("/spec/userPoolId", json!("eu-west-1_abc\n"), pool),
        ("/spec/userPoolId", json!("\neu-west-1_abc"), pool),
        ("/spec/userPoolId", json!("x\neu-west-1_abc\nx"), pool),
        ("/spec/userPoolId", json!("eu-west-1_äöü"), pool),
        ("/spec/userPoolId", json!(""), "should be at least 1 char"),
        (
            "/spec/userPoolId",
            json!(format!("eu-west-1_{}", "a".repeat(46))),
            "may not be more than 55",
        ),
        ("/spec/userPoolId", json!(7), "must be of type string"),
        ("/spec/userPoolId", Value::Null, "Required value"),
        ("/spec/username", json!("ci bot"), user),
        ("/spec/username", json!("ci-bot\n"), user),
        ("/spec/username", json!("\nci-bot"), user),
        ("/spec/username", json!("ci\nbot"), user),
        ("/spec/username", json!("ci\tbot"), user),
        ("/spec/username", json!("ci\u{a0}bot"), user),
        ("/spec/username", json!("ci\u{0}bot"), user),
        ("/spec/username", json!(""), "should be at least 1 char"),
        (
            "/spec/username",
            json!("ü".repeat(129)),
            "may not be more than 128",
        ),
        ("/spec/username", Value::Null, "Required value"),
        ("/spec/passwordSecretRef", Value::Null, "Required value"),
        (
            "/spec/passwordSecretRef/name",
            Value::Null,
            "Required value",
        ),
        ("/spec/passwordSecretRef/name", json!("Ci_Bot"), secret),
        ("/spec/passwordSecretRef/name", json!("ci-bot-"), secret),
        ("/spec/passwordSecretRef/name", json!("ci-bot\n"), secret),
        ("/spec/passwordSecretRef/name", json!("team-b/bot"), secret),
        (
            "/spec/passwordSecretRef/name",
            json!("a".repeat(254)),
            "may not be more than 253",
        ),
        ("/spec/passwordSecretRef/key", json!("pass word"), key),
        ("/spec/passwordSecretRef/key", json!("password\n"), key),
        ("/spec/passwordSecretRef/key", json!("../password"), key),
        ("/spec/permanent", json!("yes"), "must be of type boolean"),
        ("/spec/suspend", json!("no"), "must be of type boolean"),
        // The schema has no field for another namespace's Secret.
        (
            "/spec/passwordSecretRef/namespace",
            json!("team-b"),
            "unknown field \"spec.passwordSecretRef.namespace\"",
        ),
        (
            "/spec/region",
            json!("eu-west-1"),
            "unknown field \"spec.region\"",
        ),
        (
            "/spec/password",
            json!("Passw0rd"),
            "unknown field \"spec.password\"",
        ),
    ];
    schema.assert_refused(cases);
    let created = schema.try_create(&valid("refused"));
    created.expect("but for the one thing each is valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn usernames_and_pools_of_every_allowed_form_are_accepted() {
    let schema = Schema::new("accepted").await;
    let longest = "ü".repeat(128);
    for username in [
        "a",
        "ci-bot@example.com",
        "8f14e45f-ceea-467f-a8ed-3d0f1f5c3f11",
        "Иван.Петров",
        "東京",
        "a+b=c/d\\e",
        "🔑",
        &longest,
    ] {
        let mut object = valid("accepted");
        object["spec"]["username"] = json!(username);
        schema
            .kubectl(&["create", "--dry-run=server", "-f", "-"], &object)
            .unwrap_or_else(|error| panic!("{username:?}: {error}"));
    }
    for pool in ["us-gov-west-1_a", "ap-southeast-2_AbCdEf123", "local_00x"] {
        let mut object = valid("accepted");
        object["spec"]["userPoolId"] = json!(pool);
        schema
            .kubectl(&["create", "--dry-run=server", "-f", "-"], &object)
            .unwrap_or_else(|error| panic!("{pool:?}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_and_username_are_immutable_and_all_other_fields_are_not() {
    let schema = Schema::new("immutable").await;
    schema.apply(&valid("bot")).expect("it is valid");
    for (field, value, sentence) in [
        (
            "userPoolId",
            "eu-west-1_Other",
            "userPoolId is immutable: delete this resource and make another for the other pool",
        ),
        (
            "username",
            "other-bot",
            "username is immutable: delete this resource and make another for the other user",
        ),
    ] {
        let mut changed = valid("bot");
        changed["spec"][field] = json!(value);
        let said = schema.apply(&changed).expect_err("it is immutable");
        assert!(said.contains(sentence), "{said}");
        // The field is required, so a client can't remove the field first and then add another value.
        let patch = json!([{ "op": "remove", "path": format!("/spec/{field}") }]);
        let patch = [
            "patch",
            "cup",
            "bot",
            "--type=json",
            "-p",
            &patch.to_string(),
        ];
        let said = schema.kubectl(&patch, &json!({}));
        let said = said.expect_err("it is required");
        assert!(said.contains("Required value"), "{said}");
    }
    let mut changed = valid("bot");
    changed["spec"]["passwordSecretRef"] = json!({ "name": "other", "key": "pass.word" });
    changed["spec"]["permanent"] = json!(false);
    changed["spec"]["suspend"] = json!(true);
    for (field, value) in [("drift", "Correct"), ("federatedUser", "Allow")] {
        changed["spec"][field] = json!(value);
    }
    schema.apply(&changed).expect("all else may change");
    assert_eq!(schema.object("bot")["metadata"]["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_looks_and_sign_outs_are_checked_and_sessions_need_a_permanent_password() {
    let schema = Schema::new("sessions").await;
    let with = |permanent: bool, revoke: bool| {
        let mut object = valid("bot");
        object["spec"]["permanent"] = json!(permanent);
        object["spec"]["revokeSessions"] = json!(revoke);
        object
    };
    let sentence = "revokeSessions needs permanent: true, because a user with a temporary password \
                    has no session that began with it";
    let refused = schema.apply(&with(false, true)).expect_err("no sessions");
    assert!(refused.contains(sentence), "{refused}");
    for (permanent, revoke) in [(false, false), (true, false), (true, true)] {
        schema.apply(&with(permanent, revoke)).expect("it is valid");
    }
    let refused = schema.apply(&with(false, true)).expect_err("no sessions");
    assert!(refused.contains(sentence), "{refused}");
    schema.assert_refused(&[
        (
            "/spec/drift",
            json!("correct"),
            "Unsupported value: \"correct\": supported values: \"Ignore\", \"Report\", \"Correct\"",
        ),
        ("/spec/drift", json!(true), "must be of type string"),
        (
            "/spec/federatedUser",
            json!("allow"),
            "Unsupported value: \"allow\": supported values: \"Refuse\", \"Allow\"",
        ),
        (
            "/spec/revokeSessions",
            json!("yes"),
            "must be of type boolean",
        ),
    ]);
    for (field, values) in [
        ("drift", &["Ignore", "Report", "Correct"][..]),
        ("federatedUser", &["Refuse", "Allow"]),
    ] {
        for value in values {
            let mut object = valid("bot");
            object["spec"][field] = json!(value);
            schema.apply(&object).expect("it is valid");
            assert_eq!(schema.object("bot")["spec"][field], json!(value));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_fields_get_defaults_and_unknown_fields_are_pruned() {
    let schema = Schema::new("defaults").await;
    schema.apply(&valid("bot")).expect("it is valid");
    let object = schema.object("bot");
    assert_eq!(
        object["spec"],
        json!({
            "userPoolId": "eu-west-1_AbCdEf123",
            "username": "ci-bot",
            "passwordSecretRef": { "name": "ci-bot-credentials", "key": "password" },
            "permanent": true,
            "suspend": false,
            "federatedUser": "Refuse",
            "revokeSessions": false,
        }),
        "without `drift`, the operator's flag decides"
    );
    // Without this default, kstatus would call the new resource finished before the operator has seen the
    // resource.
    assert_eq!(object["status"], json!({ "observedGeneration": -1 }));

    let mut object = valid("unknown-fields");
    object["spec"]["passwordPolicy"] = json!("none");
    // kubectl validates by default (see the refusals above). Without validation, the API server drops the
    // unknown field.
    let create = ["create", "--validate=ignore", "-f", "-"];
    schema.kubectl(&create, &object).expect("it is not asked");
    let kept = schema.object("unknown-fields");
    assert_eq!(kept["spec"]["passwordPolicy"], Value::Null);

    // A created object can't bring a status.
    let mut object = valid("with-status");
    object["status"] = json!({ "observedGeneration": 1, "lastHandledReconcileAt": "x" });
    schema.apply(&object).expect("it is valid");
    let kept = schema.object("with-status");
    assert_eq!(kept["status"], json!({ "observedGeneration": -1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_resources_by_short_name_category_user_and_pool() {
    let schema = Schema::new("kubectl").await;
    for (name, username, pool) in [
        ("one", "alice", "eu-west-1_AbCdEf123"),
        ("two", "bob", "eu-west-1_AbCdEf123"),
        ("three", "alice", "us-east-1_Other"),
    ] {
        let mut object = valid(name);
        object["spec"]["username"] = json!(username);
        object["spec"]["userPoolId"] = json!(pool);
        schema.apply(&object).expect("it is valid");
    }
    let names = |args: &[&str]| {
        let text = schema.get(&[args, &["-o", "name"]].concat());
        let kind = "cognitouserpassword.cognito-password-operator.io/";
        // The category also contains grants, which are cluster-scoped.
        let ours = text.lines().filter_map(|line| line.strip_prefix(kind));
        let names = ours.map(str::to_owned);
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&["cup"]), "one three two");
    assert_eq!(names(&["cognito"]), "one three two");
    assert_eq!(names(&["cognitouserpasswords"]), "one three two");
    let by = |selector: &str| names(&["cup", "--field-selector", selector]);
    assert_eq!(by("spec.username=alice"), "one three");
    assert_eq!(by("spec.userPoolId=eu-west-1_AbCdEf123"), "one two");
    assert_eq!(
        by("spec.username=alice,spec.userPoolId=us-east-1_Other"),
        "three"
    );

    let table = schema.get(&["cup", "one"]);
    let mut lines = table.lines().map(|line| line.split("  ").map(str::trim));
    let mut columns = || -> Vec<String> {
        let line = lines.next().unwrap_or_else(|| panic!("{table}"));
        let cells = line.filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    let header = columns().join("|");
    assert_eq!(header, "NAME|READY|REASON|SUSPENDED|USER|POOL|LAST SET|AGE");
    let row = columns().join("|");
    assert!(row.starts_with("one|alice|eu-west-1_AbCdEf123|"), "{row}");

    // `kubectl explain` describes every field.
    for field in [
        "spec.userPoolId",
        "spec.username",
        "spec.passwordSecretRef.key",
        "spec.permanent",
        "spec.suspend",
        "spec.drift",
        "spec.federatedUser",
        "spec.revokeSessions",
        "status.signOutOwed.since",
        "status.corrections",
        "status.foundAs",
        "status.synced.answeredAt",
        "status.observedGeneration",
    ] {
        let path = format!("cup.{field}");
        let said = schema.plane.kubectl(&["explain", &path]);
        let described = said.split_once("DESCRIPTION:");
        let described = described.is_some_and(|(_, words)| words.trim().len() > 20);
        assert!(described && !said.contains("<empty>"), "{said}");
    }
}
