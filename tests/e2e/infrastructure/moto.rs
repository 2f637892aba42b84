//! moto, the Cognito in which users can sign in.

use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;

use crate::support::{Moto, SignIn};

const USER: &str = "ci-bot";

#[tokio::test]
async fn moto_signs_in_with_the_right_password_only() {
    let moto = Moto::shared().await;
    let (pool, application) = moto.create_pool("sign-in", 8).await;
    moto.create_user(&pool, USER).await;
    let set = |password: &'static str, permanent| {
        let request = moto.sdk().admin_set_user_password();
        let request = request.user_pool_id(&pool).username(USER);
        request.password(password).permanent(permanent).send()
    };
    let sign_in = |password| moto.sign_in(&pool, &application, USER, password);

    set("right-password", true).await.expect("moto sets it");
    assert_eq!(sign_in("right-password").await, SignIn::Ok);
    assert_eq!(
        sign_in("wrong-password").await,
        SignIn::Refused("NotAuthorizedException".to_owned())
    );
    assert_eq!(moto.user_status(&pool, USER).await, "CONFIRMED");

    let refused = set("short", true).await.expect_err("the policy says eight");
    assert_eq!(refused.code(), Some("InvalidPasswordException"));

    set("temporary-password", false)
        .await
        .expect("moto sets it");
    assert_eq!(
        sign_in("temporary-password").await,
        SignIn::Challenge("NEW_PASSWORD_REQUIRED".to_owned())
    );

    moto.delete_user(&pool, USER).await;
    let refused = set("right-password", true).await.expect_err("nobody there");
    assert_eq!(refused.code(), Some("UserNotFoundException"));
}
