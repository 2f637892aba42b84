//! The proxy: forwarded requests, lost requests, the proxy's own answers, and held requests.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use tokio::time::timeout;

use crate::support::{ApiFault, ControlPlane, Kind, Moment, Proxy, client_for, operator};

const LONG: Duration = Duration::from_mins(2);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_drops_and_holds_the_chosen_requests() {
    let plane = ControlPlane::shared();
    plane.install("deploy/");
    let proxy = Proxy::start(plane);
    let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
    let kubeconfig = proxy.kubeconfig(plane, "proxied", &token);
    let client = client_for(&kubeconfig).await;
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let list = async || secrets.list(&ListParams::default()).await;
    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    list()
        .await
        .expect("it comes through, with the token's rights");

    for (fault, wanted) in [
        (ApiFault::Gone, 410),
        (ApiFault::InternalError, 500),
        (ApiFault::InternalErrorAfter, 500),
        (ApiFault::DropBefore, 0),
        (ApiFault::DropAfter, 0),
    ] {
        proxy.next(Kind::List, fault);
        let error = list().await.expect_err("it was told to fail");
        assert_eq!(code(error), wanted, "{fault:?}");
        list().await.expect("once");
    }
    proxy.next(Kind::List, ApiFault::Conflict);
    list().await.expect("a list can't conflict");

    for (moment, arrives) in [(Moment::Before, false), (Moment::After, true)] {
        let mut hold = proxy.hold(Kind::SecretRead, moment);
        let mark = plane.audit_mark();
        let read = tokio::spawn({
            let secrets = secrets.clone();
            async move { secrets.get("held").await }
        });
        let caught = timeout(LONG, hold.caught()).await.expect("it is caught");
        assert_eq!(caught.asked.name, "held");
        let query = crate::support::AuditQuery::new().since(mark).name("held");
        assert_eq!(!plane.audit(&query).is_empty(), arrives, "{moment:?}");
        caught.let_go();
        let read = read.await.expect("it doesn't panic");
        assert_eq!(read.map_err(code).expect_err("there is none"), 404);
    }

    proxy.black_hole();
    timeout(SHORT, list())
        .await
        .expect_err("nothing comes through");
    proxy.restore();
    timeout(LONG, list())
        .await
        .expect("it comes through again")
        .expect("on a new connection");
}
