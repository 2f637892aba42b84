//! Lists objects page by page, so that a list of thousands keeps each call short.

use super::{access::seen_by, installation::has_right};
use crate::core::checkup::{right::Right, seen::Seen};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};

/// Objects in one page.
const PAGE: u32 = 500;

/// All objects of a kind, in one namespace or in all, if the caller has the right to list them. An API server
/// without the kind has none.
pub(super) async fn list(
    client: &Client,
    right: Right,
    kind: &ApiResource,
    params: ListParams,
) -> Seen<Vec<DynamicObject>> {
    if has_right(client, &right).await == Ok(false) {
        return Seen::Denied(right);
    }
    let api: Api<DynamicObject> = match right.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    };
    let mut params = params.limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = match seen_by(right.clone(), api.list(&params)).await {
            Seen::Known(page) => page,
            unseen => return unseen.map(|_| Vec::new()),
        };
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Seen::Known(objects),
        }
    }
}
