//! The calls. Each call is one request with the authority's Region and credentials.

use super::{
    AwsCognito,
    identity::Identity,
    output, region,
    translate::{self, BodyCheck, Outcome, RequestRecorder},
};
use crate::{
    cognito::Cognito,
    core::{
        access::authority::Authority,
        credential::{failure::CredentialsFailure, password::Password},
        look::user::{PAGE_MAX, SUB, UserPage, UserQuery},
        names::{
            region::Regions,
            target::{Account, PoolId, Target},
        },
        protocol::{outcome::blames_credentials, reply::Reply},
    },
};
use aws_sdk_cognitoidentityprovider::{
    config::{self, IdentityCache},
    error::ProvideErrorMetadata,
    operation::RequestId,
};
use std::error::Error;

/// One call: by whom the call is made, and what the SDK does with its request.
struct Call {
    region: config::Region,
    identity: Identity,
    /// The version of the credentials with which the call is made.
    version: u64,
    recorder: RequestRecorder,
}

impl Call {
    /// The part of the SDK's configuration that differs from call to call.
    fn caller(&self) -> config::Builder {
        config::Config::builder()
            .region(self.region.clone())
            .credentials_provider(self.identity.provider())
            .identity_cache(IdentityCache::no_cache())
    }

    fn recorder(&self) -> RequestRecorder {
        self.recorder.clone()
    }

    /// Ends the call. Credentials that AWS refused are not used again.
    fn reply<T, O, E>(
        &self,
        outcome: Outcome<O, E>,
        password: Option<&Password>,
        read: impl FnOnce(O) -> Option<T>,
    ) -> Reply<T>
    where
        O: RequestId,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let reply = translate::reply(outcome, &self.recorder, password, read);
        if blames_credentials(&reply) {
            self.identity.invalidate(self.version);
        }
        reply
    }
}

impl AwsCognito {
    fn call(&self, authority: &Authority, is_output: BodyCheck) -> Call {
        let identity = self.identity(authority);
        Call {
            region: region(authority),
            version: identity.version(),
            identity,
            recorder: RequestRecorder::new(is_output),
        }
    }
}

impl Cognito for AwsCognito {
    fn regions(&self) -> Regions {
        self.regions
    }

    async fn authenticate(&self, authority: &Authority) -> Result<Account, CredentialsFailure> {
        let identity = self.identity(authority);
        identity.ensure(&authority.region).await?;
        match &authority.role {
            None => Ok(self.own_account(region(authority))),
            Some(role) => {
                self.account.roles_in_use();
                Ok(role.arn.account())
            }
        }
    }

    fn queue_delay(&self, authority: &Authority) -> Option<CredentialsFailure> {
        let role = authority.role.as_ref()?;
        self.roles().get(authority)?.sts.queue_delay(role)
    }

    async fn admin_set_user_password(
        &self,
        authority: &Authority,
        target: &Target,
        password: &Password,
        permanent: bool,
    ) -> Reply {
        let call = self.call(authority, output::is_nothing);
        let outcome = self
            .client
            .admin_set_user_password()
            .user_pool_id(target.pool.as_str())
            .username(target.username.as_str())
            .password(password.expose())
            .permanent(permanent)
            .customize()
            .config_override(call.caller())
            .interceptor(call.recorder())
            .send()
            .await;
        call.reply(outcome, Some(password), |_| Some(()))
    }

    async fn list_users(
        &self,
        authority: &Authority,
        pool: &PoolId,
        query: &UserQuery,
    ) -> Reply<UserPage> {
        let call = self.call(authority, output::is_user_page);
        let outcome = self
            .client
            .list_users()
            .user_pool_id(pool.as_str())
            .attributes_to_get(SUB)
            .limit(PAGE_MAX.into())
            .set_filter(query.filter())
            .set_pagination_token(query.token().map(str::to_owned))
            .customize()
            .config_override(call.caller())
            .interceptor(call.recorder())
            .send()
            .await;
        call.reply(outcome, None, output::user_page)
    }

    async fn admin_user_global_sign_out(&self, authority: &Authority, target: &Target) -> Reply {
        let call = self.call(authority, output::is_nothing);
        let outcome = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(target.pool.as_str())
            .username(target.username.as_str())
            .customize()
            .config_override(call.caller())
            .interceptor(call.recorder())
            .send()
            .await;
        call.reply(outcome, None, |_| Some(()))
    }

    async fn temporary_password_validity_days(
        &self,
        authority: &Authority,
        pool: &PoolId,
    ) -> Reply<Option<u32>> {
        let call = self.call(authority, output::is_object);
        let outcome = self
            .client
            .describe_user_pool()
            .user_pool_id(pool.as_str())
            .customize()
            .config_override(call.caller())
            .interceptor(call.recorder())
            .send()
            .await;
        call.reply(outcome, None, |output| {
            output.user_pool.as_ref().map(output::validity_days)
        })
    }

    fn retain(&self, needed: &dyn Fn(&Authority) -> bool) {
        self.roles().retain(|authority, _| needed(authority));
    }
}
