//! What `bloom doctor` says of object storage.

use bytes::Bytes;
use uuid::Uuid;

use super::store::{Store, Trouble};
use super::{Options, Place};
use crate::db::doctor::Finding;

/// The name of every finding here.
const NAME: &str = "object_storage";

/// Writes a small object, reads it, lists it and deletes it again.
pub async fn examine(options: &Options) -> Finding {
    let whole = format!("{}://{}", options.scheme.name(), options.bucket);
    let store = match Store::new(options) {
        Ok(store) => store,
        Err(error) => return Finding::fail(NAME, error.to_string(), "correct the settings"),
    };
    let place = Place::new(&format!("{}/doctor", options.prefix), Uuid::new_v4());
    let key = place.key(Uuid::nil(), Uuid::nil(), &"0".repeat(64));
    match visit(options, &store, &place, &key).await {
        Ok(()) => Finding::ok(
            NAME,
            format!(
                "{whole} takes, shows and deletes outputs of {} bytes and more",
                options.threshold
            ),
        ),
        Err((step, trouble)) => {
            let advice = if trouble.is_denied() {
                "check the access key and the secret key, and that they may put, get, list and \
                 delete objects in the bucket; until then outputs stay in Postgres"
            } else if trouble.is_missing() {
                "create the bucket, or correct its name; until then outputs stay in Postgres"
            } else {
                "check the address, and that the store runs; until then outputs stay in Postgres"
            };
            Finding::fail(NAME, format!("{whole}: cannot {step}: {trouble}"), advice)
        }
    }
}

async fn visit(
    options: &Options,
    store: &Store,
    place: &Place,
    key: &str,
) -> Result<(), (&'static str, Trouble)> {
    let text = Bytes::from_static(b"bloom doctor");
    let size = text.len() as u64;
    let put = store.put(key, text.clone(), Uuid::nil()).await;
    put.map_err(|trouble| ("write", trouble))?;
    let got = store.get(&options.bucket, key, size).await;
    let got = got.map_err(|trouble| ("read", trouble))?;
    let listed = store.list(place.prefix(), None, 10).await;
    let listed = listed.map_err(|trouble| ("list", trouble))?;
    let gone = store.delete(vec![key.into()]).await;
    gone.map_err(|trouble| ("delete", trouble))?;
    if got != Some(text) || listed.len() != 1 {
        return Err(("read", Trouble::wrong()));
    }
    Ok(())
}
