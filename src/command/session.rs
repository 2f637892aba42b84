//! Finds the API server and the caller as kubectl does.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{exit::Failure, object_names};
use crate::{
    cluster::{ConfigError, caller_config, connect, inspect::installation::reach},
    core::doctor::names::split,
};
use clap::Args;
use kube::Client;
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

    /// Act as the user with this UID
    #[arg(
        long = "as-uid",
        global = true,
        value_name = "UID",
        requires = "as_user",
        help_heading = "Cluster"
    )]
    as_uid: Option<String>,
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

    /// Asks whether the API server answers at all, so that a command doesn't wait for each of its reads in vain.
    ///
    /// # Errors
    /// [`Failure::Unknown`] if the API server doesn't answer.
    pub async fn reach(&self) -> Result<(), Failure> {
        reach(&self.client).await.map_err(Failure::Unknown)
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
    /// [`Failure::Usage`] for a kubeconfig or a context that is named and isn't there or isn't valid,
    /// [`Failure::Unknown`] if no API server is configured.
    pub async fn session(&self) -> Result<Session, Failure> {
        let (file, context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let config = caller_config(file, context).await;
        let mut config = config.map_err(|error| match error {
            ConfigError::Wrong(why) => Failure::Usage(why),
            ConfigError::Missing(why) => Failure::Unknown(why),
        })?;
        if let Some(user) = &self.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !self.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.as_groups.clone());
        }
        if let Some(uid) = &self.as_uid {
            config.auth_info.impersonate_uid = Some(uid.clone());
        }
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = connect(config, Arc::new(|_| ())).map_err(Failure::Unknown)?;
        Ok(Session { client, namespace })
    }
}
