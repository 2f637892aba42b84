//! One resource with its reason: what `doctor` says of the resource, and what its cure does.

use std::cell::RefCell;
use std::collections::BTreeSet;

use cognito_password_operator::api::{Class, Reason};
use kube::api::DynamicObject;
use serde_json::Value;

use super::scene::{NEW, PATIENCE, Scene};
use crate::support::{await_resource, condition};
use crate::world::{REQUESTED_AT, World};

/// A resource that gets a reason.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) scene: &'a Scene,
    pub(super) world: &'a World<'a>,
    pub(super) name: &'a str,
    pub(super) reason: Reason,
}

impl<'a> Case<'a> {
    /// Waits until the status gives the reason, and asks `doctor` twice, for text and for JSON: the exit status is 1,
    /// the reason and its page are named, and the text has these words, which name the cause. White space in the text
    /// counts as one blank, and capital letters as small ones.
    pub(super) async fn explained(self, words: &[&str]) -> Explained<'a> {
        self.wait().await;
        let document = self.document().await;
        match self.explained_by(&document, words).await {
            Ok(explained) => explained,
            Err(why) => panic!("{}: {why}", self.name),
        }
    }

    /// Waits until the status gives the reason.
    pub(super) async fn wait(self) -> DynamicObject {
        let word = self.reason.as_str();
        let has_reason = |it: &DynamicObject| {
            condition(it, "Ready").is_some_and(|ready| ready["reason"] == word)
        };
        self.wait_for(word, has_reason).await
    }

    async fn wait_for(self, what: &str, is: impl Fn(&DynamicObject) -> bool) -> DynamicObject {
        let key = (&*self.world.namespace, self.name);
        await_resource(&self.world.client, key, PATIENCE, what, is).await
    }

    fn full_name(self) -> String {
        format!("{}/{}", self.world.namespace, self.name)
    }

    /// Doctor's report as JSON.
    pub(super) async fn document(self) -> Value {
        let (status, said) = self.scene.doctor(&[&self.full_name(), "-o", "json"]).await;
        let document: Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(document["kind"], "Doctor", "{document:#}");
        assert_eq!(document["exitStatus"], status, "{document:#}");
        document
    }

    /// What is wrong with doctor's report, or the explained case.
    pub(super) async fn explained_by(
        self,
        document: &Value,
        words: &[&str],
    ) -> Result<Explained<'a>, String> {
        let reason = self.reason.as_str();
        let page = format!("reasons.md#{}", reason.to_lowercase());
        let report = &document["resources"][0];
        let cure = &report["cure"];
        if document["exitStatus"] != 1
            || report["reason"] != reason
            || report["ready"]["reason"] != reason
            || cure["page"] != *page
        {
            return Err(format!("{document:#}"));
        }
        let (status, said) = self.scene.doctor(&[&self.full_name()]).await;
        let text = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.to_lowercase();
        let is_unknown = self.reason.class() == Class::Unknown || self.reason.is_password_unknown();
        let ready = &report["ready"]["status"];
        // Of a temporary password that may have been applied, the operator says False.
        let expected = ready == "False" && self.reason == Reason::OutcomeUnknown;
        if !expected && ready != if is_unknown { "Unknown" } else { "False" } {
            return Err(format!("{document:#}"));
        }
        let head = format!("Ready={} {reason} ", ready.as_str().unwrap_or_default());
        let more = format!("kubectl cognito-password explain {}", reason.to_lowercase());
        for words in words.iter().chain([&&*head, &&*more]) {
            if status != 1 || !text.contains(&words.to_lowercase()) {
                return Err(format!("no {words:?}, {status}:\n{said}"));
            }
        }
        Ok(Explained {
            case: self,
            text: cure["text"].as_str().unwrap_or_default().to_owned(),
            choices: choices(cure),
            ran: RefCell::default(),
        })
    }

    /// A reason that needs no cure: Ready=True, which `doctor` explains and ends with 0.
    pub(super) async fn is_settled(self) {
        self.wait().await;
        let (status, said) = self.scene.doctor(&[&self.full_name()]).await;
        assert_eq!(status, 0, "{said}");
        let text = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let head = format!("Ready=True {} ", self.reason.as_str());
        assert!(text.contains(&head), "{said}");
        assert!(text.contains("stays set"), "{said}");
        let report = self.document().await["resources"][0].clone();
        assert_eq!(report["cure"], Value::Null, "{report:#}");
        self.scene.told.borrow_mut().insert(self.reason);
    }
}

/// The commands of a cure, and those of each other cure.
fn choices(cure: &Value) -> Vec<Vec<String>> {
    let of = |it: &Value| {
        let commands = it["commands"].as_array().into_iter().flatten();
        commands
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let others = cure["alternatives"].as_array().into_iter().flatten();
    [of(cure)].into_iter().chain(others.map(of)).collect()
}

/// A case with doctor's cure.
pub(super) struct Explained<'a> {
    case: Case<'a>,
    /// The cure in words.
    text: String,
    /// The cure, and then each other cure: commands that cure together.
    choices: Vec<Vec<String>>,
    /// The commands that a person has run.
    ran: RefCell<BTreeSet<String>>,
}

impl Explained<'_> {
    /// The first command that contains this part.
    pub(super) fn find(&self, part: &str) -> Option<&str> {
        let mut all = self.choices.iter().flatten();
        all.find(|it| it.contains(part)).map(String::as_str)
    }

    /// The command with this part, as one that a person runs.
    fn command(&self, part: &str) -> &str {
        let command = self
            .find(part)
            .unwrap_or_else(|| panic!("{}: no {part:?} in {:#?}", self.case.name, self.choices));
        self.ran.borrow_mut().insert(command.to_owned());
        command
    }

    /// The cure has these words.
    pub(super) fn says(&self, words: &str) {
        assert!(self.text.contains(words), "no {words:?}: {}", self.text);
    }

    /// The cure says that the operator goes on by itself.
    pub(super) fn says_wait(self) -> Self {
        assert!(self.text.starts_with("wait: "), "{}", self.text);
        // The command only watches, and never ends by itself.
        let watches = self.command(" -w").to_owned();
        assert_eq!(self.choices, [[watches]]);
        self
    }

    /// Runs the commands that contain these parts, in this order. Returns the output of the last.
    pub(super) async fn apply(&self, parts: &[&str]) -> String {
        let mut said = String::new();
        for part in parts {
            said = self.case.scene.run(self.command(part)).await;
        }
        said
    }

    /// Runs a command after a person has put the value for a placeholder.
    pub(super) async fn fill_in(&self, part: &str, (placeholder, value): (&str, &str)) -> String {
        let command = self.command(part);
        assert!(command.contains(placeholder), "{command}");
        // A variable of the shell, or a word of the command.
        let command = if command.contains(&format!("${{{placeholder}:?")) {
            format!("{placeholder}={value}; {command}")
        } else {
            command.replace(placeholder, value)
        };
        self.case.scene.run(&command).await
    }

    /// Runs a command that shows what is wrong, and fails with this text.
    pub(super) async fn fails(&self, part: &str, text: &str) {
        let command = self.command(part);
        let (status, said, errors) = self.case.scene.bash(command, NEW).await;
        assert_ne!(status, 0, "{command}: {said}");
        assert!(
            format!("{said}{errors}").contains(text),
            "{command}: {said}{errors}"
        );
    }

    /// Waits until the resource is Ready, with every request answered, and `doctor` finds nothing wrong. All commands
    /// of a cure have run.
    pub(super) async fn cured(self) {
        let case = self.case;
        let ran = self.ran.take();
        let is_whole = |choice: &Vec<String>| choice.iter().all(|it| ran.contains(it));
        let name = case.name;
        assert!(
            self.choices.iter().any(is_whole),
            "{name}: {ran:#?} are parts of {:#?}",
            self.choices
        );
        case.wait_for("cured", |it| {
            let asked = it.metadata.annotations.as_ref();
            let asked = asked.and_then(|it| it.get(REQUESTED_AT));
            let answered = &it.data["status"]["lastHandledReconcileAt"];
            condition(it, "Ready").is_some_and(|ready| {
                ready["status"] == "True"
                    && ready["reason"] == "PasswordSet"
                    && ready["observedGeneration"].as_i64() == it.metadata.generation
            }) && asked.is_none_or(|asked| *answered == **asked)
        })
        .await;
        let (status, said) = case.scene.doctor(&[&case.full_name()]).await;
        assert_eq!(status, 0, "{}: {said}", case.name);
        assert!(said.contains("Ready=True"), "{said}");
        case.scene.told.borrow_mut().insert(case.reason);
    }
}
