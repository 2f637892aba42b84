//! `helm test`. No kubelet runs here, so this file does a kubelet's part: it runs the pod's container as a process,
//! with the token of the pod's service account, and tells the API server how the container ended.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, NAME, SOON};
use crate::support::Operator;

const POD: &str = "cognito-password-operator-test";

/// Runs `helm test`. Returns the output of Helm, or why the test failed, and the output of the container.
pub(crate) fn helm_test(
    cluster: &Cluster,
    operator: &Operator,
) -> (Result<String, String>, String) {
    let kubeconfig = cluster.plane.kubeconfig_path();
    std::thread::scope(|scope| {
        let helm = scope.spawn(|| {
            let args = ["test", NAME, "-n", NAME, "--timeout=5m"];
            cluster.helm_as(&kubeconfig, &args)
        });
        let began = Instant::now();
        let running = loop {
            let pod = cluster.object(NAME, &format!("pod/{POD}"));
            // kwok has the last word on a pod until the pod runs.
            if pod["status"]["phase"] == "Running" {
                break Some(pod);
            }
            if helm.is_finished() || began.elapsed() > SOON {
                break None;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let output = running.map_or_else(String::new, |pod| run(cluster, operator, &pod));
        let helm = helm.join().expect("Helm's thread doesn't panic");
        (helm, output)
    })
}

/// Runs the container of a pod to its end. Returns the output.
fn run(cluster: &Cluster, operator: &Operator, pod: &Value) -> String {
    let spec = &pod["spec"];
    let account = spec["serviceAccountName"].as_str().expect("an account");
    let token = cluster.plane.token_for(NAME, account);
    let kubeconfig = cluster.plane.kubeconfig_for_token("helm-test", &token);
    let container = &spec["containers"][0];
    let args = container["args"].as_array().expect("arguments");
    let args = args.iter().map(|arg| {
        let arg = arg.as_str().expect("text");
        // No DNS answers for Services here.
        if arg.starts_with("--url=") {
            format!("--url={}", operator.url())
        } else {
            arg.replace("--wait=60", "--wait=0")
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("POD_NAMESPACE", NAME)
        .output()
        .expect("the operator's binary starts");
    let phase = if output.status.success() {
        "Succeeded"
    } else {
        "Failed"
    };
    let status = json!({ "status": { "phase": phase } }).to_string();
    let patch = ["patch", "pod", POD, "-n", NAME, "--subresource=status"];
    let how = ["--type=merge", "-p", &status];
    cluster.plane.kubectl(&[&patch[..], &how].concat());
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
