//! Object storage for outputs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};

use super::{Error, secret};
use crate::artifacts::{Download, Options, Scheme, Sweep};

/// The region where none is named: MinIO's, and AWS's first.
const REGION: &str = "us-east-1";
/// From one sweep to the next.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Where large outputs go. Without a bucket they stay in Postgres.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Object storage")]
pub struct ObjectArgs {
    /// Bucket of a MinIO server for outputs, which must exist. The secret key is in the variable
    /// `MINIO_SECRET_KEY` or in a file.
    #[arg(long, value_name = "NAME", env = "MINIO_BUCKET")]
    pub minio_bucket: Option<String>,

    /// Address of the MinIO server: <http://host:9000>, or host:9000.
    #[arg(long, value_name = "URL", env = "MINIO_ENDPOINT")]
    pub minio_endpoint: Option<String>,

    /// Whether to use TLS where the address does not say.
    #[arg(long, env = "MINIO_USE_SSL")]
    pub minio_use_ssl: bool,

    /// Its region.
    #[arg(long, value_name = "NAME", env = "MINIO_REGION")]
    pub minio_region: Option<String>,

    /// Name of the key to use there.
    #[arg(long, value_name = "NAME", env = "MINIO_ACCESS_KEY")]
    pub minio_access_key: Option<String>,

    /// A file whose only line is the secret key (otherwise `MINIO_SECRET_KEY`).
    #[arg(long, value_name = "FILE", env = "MINIO_SECRET_KEY_FILE")]
    pub minio_secret_key_file: Option<PathBuf>,

    /// Bucket of S3, or of what speaks its protocol, which must exist. The secret key is in the
    /// variable `S3_SECRET_KEY` or in a file.
    #[arg(long, value_name = "NAME", env = "S3_BUCKET")]
    pub s3_bucket: Option<String>,

    /// Address of the store; AWS's own for the region if there is none.
    #[arg(long, value_name = "URL", env = "S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,

    /// The bucket's region.
    #[arg(long, value_name = "NAME", env = "S3_REGION")]
    pub s3_region: Option<String>,

    /// Name of the key to use there.
    #[arg(long, value_name = "NAME", env = "S3_ACCESS_KEY")]
    pub s3_access_key: Option<String>,

    /// A file whose only line is the secret key (otherwise `S3_SECRET_KEY`).
    #[arg(long, value_name = "FILE", env = "S3_SECRET_KEY_FILE")]
    pub s3_secret_key_file: Option<PathBuf>,

    /// Whether the bucket stands in the address's path, or in its host name. By default in the path
    /// where an endpoint is named, in the host name at AWS.
    #[arg(long, value_name = "BOOL", env = "S3_PATH_STYLE")]
    pub s3_path_style: Option<bool>,

    /// What the keys of all objects begin with.
    #[arg(
        long,
        value_name = "TEXT",
        env = "BLOOM_OBJECT_PREFIX",
        default_value = "bloom"
    )]
    pub object_prefix: String,

    /// Outputs of so many bytes and more go to object storage.
    #[arg(long, value_name = "BYTES", env = "BLOOM_OBJECT_THRESHOLD", default_value_t = 65_536,
        value_parser = value_parser!(u32).range(1..))]
    pub object_threshold: u32,

    /// How long a completion waits for object storage before its output stays in Postgres, in
    /// milliseconds.
    #[arg(long, value_name = "MS", env = "BLOOM_OBJECT_TIMEOUT_MS", default_value_t = 5000,
        value_parser = value_parser!(u64).range(50..=60_000))]
    pub object_timeout_ms: u64,

    /// How downloads are answered: `proxy` reads, checks and passes on; `redirect` sends the client to
    /// the store, with an address that is valid for a short while.
    #[arg(
        long,
        value_name = "HOW",
        env = "BLOOM_OBJECT_DOWNLOAD",
        default_value = "proxy"
    )]
    pub object_download: Download,

    /// How long such an address is valid, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_OBJECT_LINK_SECONDS", default_value_t = 300,
        value_parser = value_parser!(u64).range(1..=604_800))]
    pub object_link_seconds: u64,

    /// Address of the store in such addresses, where clients reach it at another one than the
    /// service.
    #[arg(long, value_name = "URL", env = "BLOOM_OBJECT_PUBLIC_ENDPOINT")]
    pub object_public_endpoint: Option<String>,

    /// Objects that no artifact has are removed once they are so many hours old; 0: never. A copy of
    /// a database that is not to take its place needs 0, or a bucket of its own.
    #[arg(long, value_name = "HOURS", env = "BLOOM_OBJECT_SWEEP_HOURS", default_value_t = 24,
        value_parser = value_parser!(u32).range(0..=8760))]
    pub object_sweep_hours: u32,
}

/// What is said of one of the two kinds.
struct Said<'a> {
    scheme: Scheme,
    variables: &'static str,
    bucket: &'a str,
    endpoint: Option<String>,
    region: &'a Option<String>,
    access_key: &'a Option<String>,
    secret_key_file: &'a Option<PathBuf>,
    path_style: bool,
}

impl ObjectArgs {
    /// The object storage that is described, if one is.
    ///
    /// # Errors
    /// When something is missing or makes no sense.
    pub fn options(&self) -> Result<Option<Options>, Error> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let said = match (named(&self.minio_bucket), named(&self.s3_bucket)) {
            (None, None) => return self.nothing_half_said(),
            (Some(_), Some(_)) => return Err(wrong("set MINIO_BUCKET or S3_BUCKET, not both")),
            (Some(_), None) => Said {
                scheme: Scheme::Minio,
                variables: "MINIO",
                bucket: self.minio_bucket.as_deref().unwrap_or_default(),
                endpoint: Some(self.minio_address()?),
                region: &self.minio_region,
                access_key: &self.minio_access_key,
                secret_key_file: &self.minio_secret_key_file,
                path_style: true,
            },
            (None, Some(_)) => Said {
                scheme: Scheme::S3,
                variables: "S3",
                bucket: self.s3_bucket.as_deref().unwrap_or_default(),
                endpoint: named(&self.s3_endpoint),
                region: &self.s3_region,
                access_key: &self.s3_access_key,
                secret_key_file: &self.s3_secret_key_file,
                path_style: self
                    .s3_path_style
                    .unwrap_or(named(&self.s3_endpoint).is_some()),
            },
        };
        self.read(&said).map(Some)
    }

    fn read(&self, said: &Said<'_>) -> Result<Options, Error> {
        let variables = said.variables;
        let missing = |what: &str| wrong(&format!("{variables}_{what} is missing"));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if !self.object_prefix.bytes().all(is_plain) || self.object_prefix.contains("//") {
            return Err(wrong(
                "BLOOM_OBJECT_PREFIX may hold letters, digits, and . _ - / only",
            ));
        }
        let access_key = said.access_key.clone().filter(|key| !key.is_empty());
        let secret_key = secret::key(
            said.secret_key_file.as_deref(),
            &format!("{variables}_SECRET_KEY"),
        )?;
        let hours = Duration::from_secs(u64::from(self.object_sweep_hours) * 3600);
        Ok(Options {
            scheme: said.scheme,
            endpoint: said.endpoint.clone(),
            public_endpoint: self
                .object_public_endpoint
                .clone()
                .filter(|url| !url.is_empty()),
            bucket: said.bucket.to_owned(),
            region: said.region.clone().unwrap_or_else(|| REGION.to_owned()),
            access_key: access_key.ok_or_else(|| missing("ACCESS_KEY"))?,
            secret_key: secret_key.ok_or_else(|| missing("SECRET_KEY"))?,
            path_style: said.path_style,
            prefix: self.object_prefix.clone(),
            threshold: self.object_threshold as usize,
            timeout: Duration::from_millis(self.object_timeout_ms),
            download: self.object_download,
            link_life: Duration::from_secs(self.object_link_seconds),
            sweep: (self.object_sweep_hours > 0).then_some(Sweep {
                every: SWEEP_EVERY,
                older_than: hours,
            }),
        })
    }

    fn minio_address(&self) -> Result<String, Error> {
        let endpoint = self.minio_endpoint.clone().filter(|url| !url.is_empty());
        let endpoint = endpoint.ok_or_else(|| wrong("MINIO_ENDPOINT is missing"))?;
        if endpoint.contains("://") {
            return Ok(endpoint);
        }
        let scheme = if self.minio_use_ssl { "https" } else { "http" };
        Ok(format!("{scheme}://{endpoint}"))
    }

    /// Whoever names a server but no bucket meant something.
    fn nothing_half_said(&self) -> Result<Option<Options>, Error> {
        let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if is_said(&self.minio_endpoint) {
            return Err(wrong("MINIO_ENDPOINT is set, but MINIO_BUCKET is missing"));
        }
        if is_said(&self.s3_endpoint) {
            return Err(wrong("S3_ENDPOINT is set, but S3_BUCKET is missing"));
        }
        Ok(None)
    }
}

fn wrong(text: &str) -> Error {
    Error::ObjectStorage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        objects: ObjectArgs,
    }

    fn read(arguments: &[&str]) -> Result<Option<Options>, Error> {
        let line = ["bloom"].iter().chain(arguments);
        Line::try_parse_from(line).unwrap().objects.options()
    }

    #[test]
    fn a_bucket_with_its_key_is_read_and_the_key_is_never_shown() {
        let file = std::env::temp_dir().join(format!("secret-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, "hush-hush\n").unwrap();
        let file = file.to_str().unwrap();
        let minio = read(&[
            "--minio-endpoint=store:9000",
            "--minio-bucket=b",
            "--minio-access-key=k",
            &format!("--minio-secret-key-file={file}"),
        ]);
        let minio = minio.unwrap().unwrap();
        assert_eq!(minio.endpoint.as_deref(), Some("http://store:9000"));
        assert!(minio.path_style && minio.scheme == Scheme::Minio);
        assert_eq!(minio.secret_key.expose_secret(), "hush-hush");
        assert!(!format!("{minio:?}").contains("hush"), "{minio:?}");
        let s3 = read(&[
            "--s3-bucket=b",
            "--s3-region=eu-central-1",
            "--s3-access-key=k",
            &format!("--s3-secret-key-file={file}"),
            "--object-sweep-hours=0",
        ]);
        let s3 = s3.unwrap().unwrap();
        assert!(!s3.path_style && s3.endpoint.is_none() && s3.sweep.is_none());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn what_is_half_said_is_an_error_and_nothing_said_is_none() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&["--s3-bucket="]).unwrap().is_none());
        for (wrong, text) in [
            (&["--minio-endpoint=x"][..], "MINIO_BUCKET is missing"),
            (&["--s3-endpoint=http://x"], "S3_BUCKET is missing"),
            (&["--minio-bucket=b"], "MINIO_ENDPOINT is missing"),
            (&["--s3-bucket=b"], "S3_ACCESS_KEY is missing"),
            (
                &["--s3-bucket=b", "--object-prefix=a b"],
                "BLOOM_OBJECT_PREFIX",
            ),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(text), "{wrong:?}: {error}");
        }
    }
}
