//! The overlays that the documentation shows: each one renders, and changes an object.

use std::path::Path;

use serde_json::{Value, json};

use crate::manifests::Variant;
use crate::support::{ControlPlane, scratch, tools};

/// The fields with which a partly shown kustomization may begin.
const PARTS: [&str; 4] = ["patches:", "images:", "labels:", "components:"];
/// How the documentation names deploy/ in an overlay.
const DEPLOY: &str = "../deploy";

/// The overlays of a page, in its order.
fn overlays(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in page.split("\n```yaml\n").skip(1) {
        let (block, _) = block.split_once("\n```").expect("the block ends");
        if block.contains("\nkind: Kustomization\n") && block.contains(DEPLOY) {
            found.push(block.to_owned());
        } else if PARTS.iter().any(|part| block.starts_with(part)) {
            found.push(format!("resources: [{DEPLOY}]\n{block}"));
        }
    }
    found
}

/// Each page of the documentation that may have overlays, by its path.
fn pages() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(tools::checkout().join("docs")).expect("there is docs/");
    let names = docs.map(|entry| entry.expect("a file").file_name());
    let mut paths: Vec<_> = names
        .map(|name| format!("docs/{}", name.to_string_lossy()))
        .filter(|path| Path::new(path).extension().is_some_and(|it| it == "md"))
        .collect();
    paths.push("README.md".to_owned());
    paths.sort();
    let read = |path: String| {
        let page = std::fs::read_to_string(tools::checkout().join(&path)).expect("a page");
        (path, page)
    };
    paths.into_iter().map(read).collect()
}

/// The objects that kustomize renders, or the error of kustomize.
fn built(overlay: &str) -> Result<Vec<Value>, String> {
    let directory = scratch("overlay").canonicalize().expect("it was made");
    let checkout = tools::checkout().canonicalize().expect("it is there");
    // kustomize takes no absolute path.
    let up = "../".repeat(directory.components().count() - 1);
    let deploy = format!("{up}{}/deploy", checkout.display()).replace("//", "/");
    let file = directory.join("kustomization.yaml");
    std::fs::write(file, overlay.replace(DEPLOY, &deploy)).expect("a file");
    let directory = directory.to_string_lossy();
    let built = ControlPlane::shared().try_kubectl(&["kustomize", &directory], "")?;
    Ok(serde_saphyr::from_multiple(&built).expect("kubectl writes YAML"))
}

#[test]
fn every_overlay_in_the_documentation_builds_and_changes_something() {
    let variants = Variant::all(ControlPlane::shared());
    let plain = variants.iter().find(|it| it.directory == "deploy");
    let plain = &plain.expect("it is one of them").objects;
    let mut pages_with_some = Vec::new();
    for (path, page) in pages() {
        for overlay in overlays(&page) {
            let objects = built(&overlay).unwrap_or_else(|e| panic!("{path}: {e}\n{overlay}"));
            // kustomize does not complain about a patch without a target.
            assert_ne!(&objects, plain, "{path}: it changes nothing\n{overlay}");
            pages_with_some.push(path.clone());
        }
    }
    for path in ["docs/clusters.md", "docs/gitops.md", "docs/install.md"] {
        assert!(
            pages_with_some.iter().any(|it| it == path),
            "none in {path}"
        );
    }
}

#[test]
fn the_patch_for_a_quota_gives_the_container_a_processor_limit() {
    let page = std::fs::read_to_string(tools::checkout().join("docs/clusters.md"));
    let page = page.expect("a page");
    let overlay = overlays(&page)
        .into_iter()
        .find(|it| it.contains("limits/cpu"));
    let objects = built(&overlay.expect("it is there")).expect("it builds");
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let template = &deployment.expect("a Deployment")["spec"]["template"];
    let limits = &template["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits, &json!({ "cpu": "1", "memory": "256Mi" }));
}
