//! Finds the API server and the caller as kubectl does.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{exit::Failure, object_names};
use crate::{
    cluster::{connect, infer_config, kubeconfig_config},
    core::doctor::names::split,
};
use clap::Args;
use kube::{Client, Config};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Which cluster, which namespace, and as whom: kubectl's own flags.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current context]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,

    /// The namespace [default: the context's]
    #[arg(
        long,
        short = 'n',
        global = true,
        value_name = "NAMESPACE",
        value_parser = object_names::namespace,
        help_heading = "Cluster"
    )]
    namespace: Option<String>,

    /// Act as this user, if you may impersonate
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        help_heading = "Cluster"
    )]
    as_user: Option<String>,

    /// Act as a member of this group too; may be repeated
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        requires = "as_user",
        help_heading = "Cluster"
    )]
    as_groups: Vec<String>,
}

/// A connection to one API server, as one caller.
#[derive(Clone)]
pub struct Session {
    /// The client. Each request has a time limit where the request is made.
    pub client: Client,
    /// The namespace of names without a namespace.
    pub namespace: String,
}

impl Session {
    /// The namespace and the name that an argument means: `NAME` in the session's namespace, or `NAMESPACE/NAME`, as
    /// the commands print names.
    #[must_use]
    pub fn resource<'a>(&'a self, argument: &'a str) -> (&'a str, &'a str) {
        split(argument, &self.namespace)
    }
}

impl ConnectionArgs {
    /// The kubeconfig file that the arguments name.
    #[must_use]
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// The session that the arguments ask for. Makes no request.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a context that does not exist, [`Failure::Unknown`] if no API server is configured.
    pub async fn session(&self) -> Result<Session, Failure> {
        let mut config = self.config().await?;
        if let Some(user) = &self.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !self.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.as_groups.clone());
        }
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = connect(config, Arc::new(|_| ())).map_err(Failure::Unknown)?;
        Ok(Session { client, namespace })
    }

    async fn config(&self) -> Result<Config, Failure> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return infer_config().await.map_err(Failure::Unknown);
        }
        let file = self.kubeconfig.as_deref();
        kubeconfig_config(file, self.context.as_deref())
            .await
            .map_err(Failure::Usage)
    }
}
