//! Which resources a command is about: names, a label selector, or all.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{entries::Entry, exit::Failure, object_names, session::Session};
use crate::{
    cluster::inspect::{
        installation::has_right,
        observed::{Sight, get, list, resource_right},
    },
    core::ask::observed::ObservedResource,
};
use clap::Args;
use std::collections::BTreeSet;

/// The resources of a command.
#[derive(Args, Debug)]
pub struct SelectArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// In all namespaces. Needs --all or -l
    #[arg(long, short = 'A', conflicts_with = "names")]
    all_namespaces: bool,
}

/// Exactly one of these is given.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// The names of CognitoUserPassword resources, as NAME or NAMESPACE/NAME
    #[arg(value_name = "NAME", value_parser = object_names::resource)]
    names: Vec<String>,

    /// The resources with these labels, in kubectl's syntax, such as team=a
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = object_names::label_selector)]
    selector: Option<String>,

    /// All resources of the namespace
    #[arg(long)]
    all: bool,
}

/// The resources, as the API server showed the resources.
pub(super) struct Selected {
    pub(super) found: Vec<ObservedResource>,
    /// The names that don't exist, or that the caller may not read.
    pub(super) missing: Vec<Entry>,
    /// Whether the caller named the resources.
    pub(super) is_by_name: bool,
}

impl SelectArgs {
    /// Reads the resources.
    ///
    /// # Errors
    /// The caller may not list, or the API server can't be asked. Says which right is missing.
    pub(super) async fn read(&self, session: &Session) -> Result<Selected, Failure> {
        session.reach().await?;
        let names = &self.which.names;
        if names.is_empty() {
            let namespace = (!self.all_namespaces).then_some(&*session.namespace);
            let selector = self.which.selector.as_deref();
            let found = list(&session.client, namespace, selector).await;
            return Ok(Selected {
                found: found.map_err(|sight| failure(&sight))?,
                missing: Vec::new(),
                is_by_name: false,
            });
        }
        let (mut known, mut found, mut missing) = (BTreeSet::new(), Vec::new(), Vec::new());
        for name in names.iter().filter(|it| known.insert(*it)) {
            let (namespace, name) = session.resource(name);
            match get(&session.client, namespace, name).await {
                Sight::Present(resource) => found.push(*resource),
                sight @ (Sight::Absent | Sight::Denied(_) | Sight::Failed(_)) => {
                    missing.extend(Entry::of_sight(namespace, name, &sight));
                }
            }
        }
        Ok(Selected {
            found,
            missing,
            is_by_name: true,
        })
    }
}

impl Selected {
    /// Takes out the resources of namespaces in which the caller may patch no resource, so that a missing right is
    /// one line for a namespace and not one for each resource.
    ///
    /// # Errors
    /// The caller may patch none of the resources.
    pub(super) async fn keep_patchable(&mut self, session: &Session) -> Result<(), Failure> {
        if self.is_by_name {
            // The caller may have the right on these names only. The patch shows that.
            return Ok(());
        }
        let namespaces: BTreeSet<_> = self.found.iter().map(|it| it.namespace.clone()).collect();
        let mut denied = Vec::new();
        for namespace in &namespaces {
            let right = resource_right("patch", Some(namespace), None);
            if has_right(&session.client, &right).await == Ok(false) {
                denied.push((namespace, right));
            }
        }
        if let [(_, right), ..] = &denied[..]
            && denied.len() == namespaces.len()
        {
            return Err(Failure::Unknown(format!("you may not {right}")));
        }
        for (namespace, right) in denied {
            self.found.retain(|it| it.namespace != *namespace);
            let entry = Entry::of_sight(namespace, "*", &Sight::Denied(right));
            self.missing.extend(entry);
        }
        Ok(())
    }
}

fn failure(sight: &Sight) -> Failure {
    Failure::Unknown(match sight {
        Sight::Denied(right) => format!("you may not {right}"),
        Sight::Failed(why) => why.clone(),
        Sight::Present(_) | Sight::Absent => "the list can't be read".to_owned(),
    })
}
