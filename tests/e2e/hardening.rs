//! The operator's pod has no privilege in any way of installation. Kubernetes' own admission accepts the pod
//! under the Pod Security Standard `restricted`, and refuses the pod with any single privilege added. The
//! manifests are checked for hardening beyond the standard.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::manifests::Variant;
use crate::support::{ControlPlane, operator};

/// The labels of the operator's own namespace.
fn labels_of_the_namespace(variants: &[Variant]) -> Value {
    let namespaces: Vec<_> = variants
        .iter()
        .flat_map(|variant| variant.of_kind("Namespace"))
        .filter(|object| object["metadata"]["name"] == operator::NAMESPACE)
        .map(|object| object["metadata"]["labels"].clone())
        .collect();
    for labels in &namespaces {
        for mode in ["enforce", "warn", "audit"] {
            let label = format!("pod-security.kubernetes.io/{mode}");
            assert_eq!(labels[&label], "restricted", "{labels:#}");
            assert_eq!(labels[format!("{label}-version")], "latest", "{labels:#}");
        }
    }
    namespaces.into_iter().next().expect("deploy/ makes it")
}

/// A namespace with the labels of the operator's own namespace, to ask its admission.
struct RestrictedNamespace {
    plane: &'static ControlPlane,
    namespace: String,
}

impl RestrictedNamespace {
    async fn new(labels: &Value) -> Self {
        let plane = ControlPlane::shared();
        let namespace = plane.new_namespace("restricted").await;
        let patch = json!({ "metadata": { "labels": labels } }).to_string();
        plane.kubectl(&["patch", "namespace", &namespace, "-p", &patch]);
        Self { plane, namespace }
    }

    /// Runs all of admission without storing the object. A warning counts as a refusal.
    fn create(&self, object: &Value) -> Result<String, String> {
        let mut object = object.clone();
        object["metadata"]["namespace"] = self.namespace.clone().into();
        let create = ["create", "--dry-run=server", "--warnings-as-errors"];
        let args = [&create[..], &["-f", "-"]].concat();
        self.plane.try_kubectl(&args, &object.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_admission_accepts_the_pod_of_every_variant_without_a_warning() {
    let variants = Variant::all(ControlPlane::shared());
    let restricted = RestrictedNamespace::new(&labels_of_the_namespace(&variants)).await;
    for variant in &variants {
        for object in [&variant.pod(), variant.one("Deployment")] {
            let accepted = restricted.create(object);
            assert!(accepted.is_ok(), "{}: {accepted:?}", variant.directory);
        }
    }
}

/// A privilege that the pod does not have: a function that adds the privilege, and the word in admission's
/// refusal.
type Privilege = (fn(&mut Value), &'static str);

/// The container of a pod.
fn container(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

fn remove(object: &mut Value, field: &str) {
    let removed = object
        .as_object_mut()
        .and_then(|object| object.remove(field));
    assert!(removed.is_some(), "there was no {field}: {object:#}");
}

const PRIVILEGES: [Privilege; 17] = [
    (
        |pod| remove(&mut pod["spec"]["securityContext"], "seccompProfile"),
        "seccompProfile",
    ),
    (
        |pod| pod["spec"]["securityContext"]["seccompProfile"]["type"] = "Unconfined".into(),
        "seccompProfile",
    ),
    (
        |pod| remove(&mut pod["spec"]["securityContext"], "runAsNonRoot"),
        "runAsNonRoot != true",
    ),
    (
        |pod| container(pod)["securityContext"]["runAsNonRoot"] = false.into(),
        "runAsNonRoot != true",
    ),
    (
        |pod| pod["spec"]["securityContext"]["runAsUser"] = 0.into(),
        "runAsUser=0",
    ),
    (
        |pod| {
            remove(
                &mut container(pod)["securityContext"],
                "allowPrivilegeEscalation",
            );
        },
        "allowPrivilegeEscalation != false",
    ),
    (
        |pod| container(pod)["securityContext"]["allowPrivilegeEscalation"] = true.into(),
        "allowPrivilegeEscalation != false",
    ),
    (
        |pod| {
            let context = &mut container(pod)["securityContext"];
            context["allowPrivilegeEscalation"] = true.into();
            context["privileged"] = true.into();
        },
        "privileged",
    ),
    (
        |pod| remove(&mut container(pod)["securityContext"], "capabilities"),
        "unrestricted capabilities",
    ),
    (
        |pod| container(pod)["securityContext"]["capabilities"]["add"] = json!(["SYS_PTRACE"]),
        "unrestricted capabilities",
    ),
    (
        |pod| pod["spec"]["volumes"] = json!([{ "name": "node", "hostPath": { "path": "/" } }]),
        "restricted volume types",
    ),
    (
        |pod| pod["spec"]["hostNetwork"] = true.into(),
        "host namespaces",
    ),
    (
        |pod| pod["spec"]["hostPID"] = true.into(),
        "host namespaces",
    ),
    (
        |pod| pod["spec"]["hostIPC"] = true.into(),
        "host namespaces",
    ),
    (
        |pod| container(pod)["ports"][0]["hostPort"] = 8080.into(),
        "hostPort",
    ),
    (
        |pod| {
            let profile = json!({ "type": "Unconfined" });
            pod["spec"]["securityContext"]["appArmorProfile"] = profile;
        },
        "AppArmor",
    ),
    // An additional container, as a patch or a webhook might add one.
    (
        |pod| {
            let containers = pod["spec"]["containers"].as_array_mut();
            let sidecar = json!({ "name": "sidecar", "image": "sidecar" });
            containers.expect("a list").push(sidecar);
        },
        "container \"sidecar\"",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn restricted_admission_refuses_the_pod_with_any_privilege_it_gives_up() {
    let variants = Variant::all(ControlPlane::shared());
    let restricted = RestrictedNamespace::new(&labels_of_the_namespace(&variants)).await;
    let pod = variants[0].pod();
    for (take_back, word) in PRIVILEGES {
        let mut privileged = pod.clone();
        take_back(&mut privileged);
        let refused = restricted.create(&privileged);
        let said = refused.expect_err("it should have been refused");
        let standard = "violates PodSecurity \"restricted:latest\"";
        assert!(said.contains(standard), "{word}: {said}");
        assert!(said.contains(word), "not '{word}' but: {said}");
    }
    // For a Deployment, admission only warns.
    let mut deployment = variants[0].one("Deployment").clone();
    let template = &mut deployment["spec"]["template"];
    template["spec"]["hostNetwork"] = true.into();
    let warned = restricted.create(&deployment).expect_err("a warning");
    assert!(warned.contains("would violate PodSecurity"), "{warned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_of_every_variant_is_locked_down_beyond_the_standard() {
    for variant in Variant::all(ControlPlane::shared()) {
        let pod = variant.pod();
        let context = &pod["spec"]["securityContext"];
        let wanted = json!({
            "runAsNonRoot": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        assert_eq!(context, &wanted, "{}", variant.directory);
        let spec = pod["spec"].as_object().expect("an object");
        for absent in ["initContainers", "volumes"] {
            assert!(!spec.contains_key(absent), "{}", variant.directory);
        }
        let containers = spec["containers"].as_array().expect("a list");
        assert_eq!(containers.len(), 1, "{}", variant.directory);
        let wanted = json!({
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
        });
        let context = &containers[0]["securityContext"];
        assert_eq!(context, &wanted, "{}", variant.directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operators_own_pod_gets_its_token() {
    for variant in Variant::all(ControlPlane::shared()) {
        let account = variant.one("ServiceAccount");
        assert_eq!(account["metadata"]["name"], operator::SERVICE_ACCOUNT);
        assert_eq!(account["automountServiceAccountToken"], false);
        let pod = variant.pod();
        assert_eq!(pod["spec"]["serviceAccountName"], operator::SERVICE_ACCOUNT);
        assert_eq!(pod["spec"]["automountServiceAccountToken"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_policy_allows_ingress_to_the_port_and_the_needed_egress() {
    let plane = ControlPlane::shared();
    for variant in Variant::all(plane) {
        let policy = variant.one("NetworkPolicy");
        let spec = &policy["spec"];
        let pod = variant.pod();

        // The policy selects the operator's pods, and restricts both directions.
        let selector = spec["podSelector"]["matchLabels"].as_object();
        for (label, value) in selector.expect("by labels") {
            assert_eq!(&pod["metadata"]["labels"][label], value, "{spec:#}");
        }
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));

        let port = &pod["spec"]["containers"][0]["ports"][0]["containerPort"];
        let wanted = BTreeSet::from([format!("TCP {port}")]);
        assert_eq!(allowed(&spec["ingress"], "from"), wanted);
        let wanted = [
            "UDP 53",
            "TCP 53",
            "TCP 443",
            "TCP 6443",
            "TCP 8443",
            "TCP 80 169.254.170.23/32",
            "TCP 80 fd00:ec2::23/128",
        ];
        let wanted = BTreeSet::from(wanted.map(str::to_owned));
        assert_eq!(allowed(&spec["egress"], "to"), wanted);

        // A rule that the API server drops or refuses protects nothing.
        let args = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        let mut policy = policy.clone();
        policy["metadata"]["namespace"] = "default".into();
        plane.kubectl_stdin(&args, &policy.to_string());
    }
}

/// Each allowed connection as `PROTOCOL PORT [CIDR]`. A rule without ports would allow all, and no policy
/// here has one.
fn allowed(rules: &Value, peers: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for rule in rules.as_array().expect("a list") {
        let anywhere = vec![Value::Null];
        let peers = rule[peers].as_array().unwrap_or(&anywhere);
        let ports = rule["ports"].as_array().expect("every rule names ports");
        assert!(!ports.is_empty() && !peers.is_empty(), "{rule:#}");
        for port in ports {
            let protocol = port["protocol"].as_str().expect("a protocol");
            for peer in peers {
                let cidr = peer["ipBlock"]["cidr"].as_str();
                assert_eq!(cidr.is_none(), peer.is_null(), "{rule:#}");
                let end = format!("{protocol} {} {}", port["port"], cidr.unwrap_or_default());
                allowed.insert(end.trim_end().to_owned());
            }
        }
    }
    allowed
}
