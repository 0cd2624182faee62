//! The client of the store.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore as _,
    PutOptions, PutPayload, RetryConfig,
};
use secrecy::ExposeSecret as _;
use url::Url;
use uuid::Uuid;

use super::{Options, SetupError};
use crate::error::chain;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long any one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Most characters of a failure's text.
const TEXT_MAX: usize = 300;

/// Where outputs are.
#[derive(Debug)]
pub(super) struct Store {
    options: Options,
    own: AmazonS3,
    /// The same with the address that clients use.
    public: AmazonS3,
}

/// Why the store did not do what it was asked. Its text is short and holds no key.
#[derive(Debug)]
pub(super) struct Trouble {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Denied,
    Other,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Trouble {
    /// It took too long.
    pub(super) fn late(limit: Duration) -> Self {
        Self::other(format!("no answer within {} ms", limit.as_millis()))
    }

    /// It could not be asked.
    pub(super) fn busy() -> Self {
        Self::other("too many uploads".to_owned())
    }

    /// It answered something else than what was stored.
    pub(super) fn wrong() -> Self {
        Self::other("it answers something else than what was stored".to_owned())
    }

    fn other(text: String) -> Self {
        Self {
            text,
            kind: Kind::Other,
        }
    }

    /// Whether the object, or the bucket, is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }

    /// Whether the key is not good enough.
    pub(super) fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let kind = match &error {
            E::NotFound { .. } => Kind::Missing,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Kind::Denied,
            _ => Kind::Other,
        };
        let whole = chain(&error);
        // The store's answer is XML that repeats much of the request; its code says enough.
        let code = whole.split_once("<Code>").and_then(|(_, rest)| {
            let (code, _) = rest.split_once("</Code>")?;
            code.bytes()
                .all(|b| b.is_ascii_alphanumeric())
                .then_some(code)
        });
        let text = match code {
            Some(code) => format!("the store answers {code}"),
            None => whole.chars().take(TEXT_MAX).collect(),
        };
        let kind = match code {
            Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccessDenied") => Kind::Denied,
            _ => kind,
        };
        Self { text, kind }
    }
}

impl Store {
    pub(super) fn new(options: &Options) -> Result<Self, SetupError> {
        let public = options.public_endpoint.as_ref();
        Ok(Self {
            own: client(options, &options.bucket, options.endpoint.as_deref())?,
            public: client(
                options,
                &options.bucket,
                public.or(options.endpoint.as_ref()).map(String::as_str),
            )?,
            options: options.clone(),
        })
    }

    /// Stores an output.
    pub(super) async fn put(&self, key: &str, bytes: Bytes, task: Uuid) -> Result<(), Trouble> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "text/plain; charset=utf-8".into());
        // Nobody's browser is to run it.
        let name = format!("attachment; filename=\"{task}.txt\"");
        attributes.insert(Attribute::ContentDisposition, name.into());
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        let payload = PutPayload::from(bytes);
        self.own
            .put_opts(&Path::from(key), payload, options)
            .await?;
        Ok(())
    }

    /// An object of `size` bytes, whole; `None` when it has another size.
    pub(super) async fn get(
        &self,
        bucket: &str,
        key: &str,
        size: u64,
    ) -> Result<Option<Bytes>, Trouble> {
        let elsewhere = self.elsewhere(bucket, self.options.endpoint.as_deref())?;
        let store = elsewhere.as_ref().unwrap_or(&self.own);
        let found = store
            .get_opts(&Path::from(key), GetOptions::default())
            .await?;
        if found.meta.size != size {
            return Ok(None);
        }
        let bytes = found.bytes().await?;
        Ok((bytes.len() as u64 == size).then_some(bytes))
    }

    /// An address for one object that needs no key.
    pub(super) async fn link(
        &self,
        bucket: &str,
        key: &str,
        life: Duration,
    ) -> Result<Url, Trouble> {
        let endpoint = self.options.public_endpoint.as_ref();
        let endpoint = endpoint.or(self.options.endpoint.as_ref());
        let elsewhere = self.elsewhere(bucket, endpoint.map(String::as_str))?;
        let store = elsewhere.as_ref().unwrap_or(&self.public);
        let path = Path::from(key);
        Ok(store.signed_url(reqwest::Method::GET, &path, life).await?)
    }

    /// A client of another bucket: the one that was configured before.
    fn elsewhere(&self, bucket: &str, endpoint: Option<&str>) -> Result<Option<AmazonS3>, Trouble> {
        if bucket == self.options.bucket {
            return Ok(None);
        }
        let made = client(&self.options, bucket, endpoint);
        made.map(Some).map_err(|error| Trouble::other(error.0))
    }

    /// Up to `limit` objects below `prefix` after the key `after`, in the order of keys.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, Trouble> {
        let prefix = Path::from(prefix);
        let listed = match after {
            Some(after) => self.own.list_with_offset(Some(&prefix), &Path::from(after)),
            None => self.own.list(Some(&prefix)),
        };
        Ok(listed.take(limit).try_collect().await?)
    }

    /// Deletes objects. What is not there counts as deleted.
    pub(super) async fn delete(&self, keys: Vec<Path>) -> Result<(), Trouble> {
        let mut gone = self.own.delete_stream(stream::iter(keys).map(Ok).boxed());
        while let Some(outcome) = gone.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Bucket and key of `minio://BUCKET/KEY` or `s3://BUCKET/KEY`.
pub(super) fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("minio://").or(url.strip_prefix("s3://"))?;
    rest.split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}

fn client(options: &Options, bucket: &str, endpoint: Option<&str>) -> Result<AmazonS3, SetupError> {
    let wrong = |error: &dyn fmt::Display| SetupError(error.to_string());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&options.region)
        .with_access_key_id(&options.access_key)
        .with_secret_access_key(options.secret_key.expose_secret())
        .with_virtual_hosted_style_request(!options.path_style)
        // Not everything that calls itself S3 can delete many at once, and nobody waits for it.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_millis(500),
                base: 2.0,
            },
            max_retries: 1,
            retry_timeout: options.timeout,
        });
    let mut http = ClientOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(REQUEST_LIMIT);
    if let Some(endpoint) = endpoint {
        let mut url = Url::parse(endpoint).map_err(|error| wrong(&error))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
            return Err(SetupError(format!(
                "{endpoint} is no http or https address"
            )));
        }
        if !options.path_style {
            let host = format!("{bucket}.{host}");
            url.set_host(Some(&host)).map_err(|error| wrong(&error))?;
        }
        http = http.with_allow_http(url.scheme() == "http");
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/'));
    }
    builder
        .with_client_options(http)
        .build()
        .map_err(|error| SetupError(chain(&error).chars().take(TEXT_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_bucket_and_key_or_not_at_all() {
        assert_eq!(parts("minio://b/k/l"), Some(("b", "k/l")));
        assert_eq!(parts("s3://b/k"), Some(("b", "k")));
        for wrong in ["", "s3://", "s3://b", "s3://b/", "s3:///k", "http://b/k"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
