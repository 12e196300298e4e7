//! What a real store does and s3s-fs leaves out.

use std::path::PathBuf;

use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::PutObjectInput;
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

/// Marks a request whose conditions the store shall not honour. They cannot be cut off before: they are signed.
#[derive(Clone, Copy, Debug)]
pub struct IgnoreConditions;

/// Rules checked after the signature and before the operation.
#[derive(Clone, Debug)]
pub struct Rules {
    root: PathBuf,
}

impl Rules {
    /// Rules for the buckets under a folder.
    pub fn new(root: PathBuf) -> Rules {
        Rules { root }
    }

    fn check_path(&self, operation: &str, path: &S3Path) -> S3Result<()> {
        let bucket = match path {
            S3Path::Root => return Ok(()),
            S3Path::Bucket { bucket } | S3Path::Object { bucket, .. } => bucket,
        };
        // s3s-fs would make a bucket of any name by writing into it.
        if operation != "CreateBucket" && !self.root.join(&**bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"));
        }
        match path {
            // A folder of s3s-fs is no object, though it exists as a path.
            S3Path::Object { bucket, key }
                if matches!(operation, "GetObject" | "HeadObject")
                    && !key.ends_with('/')
                    && self.root.join(&**bucket).join(&**key).is_dir() =>
            {
                Err(s3_error!(NoSuchKey, "The specified key does not exist."))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Rules {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        self.check_path(context.s3_op().name(), context.s3_path())
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        if request.extensions.get::<IgnoreConditions>().is_some() {
            request.input.if_match = None;
            request.input.if_none_match = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str) -> S3Path {
        S3Path::Object { bucket: bucket.into(), key: key.into() }
    }

    #[test]
    fn a_missing_bucket_and_a_folder_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("here/folder")).unwrap();
        let rules = Rules::new(dir.path().to_path_buf());
        let code = |operation, path| rules.check_path(operation, &path).err().map(|e| e.code().as_str().to_owned());
        assert_eq!(code("PutObject", object("gone", "k")).as_deref(), Some("NoSuchBucket"));
        assert_eq!(code("CreateBucket", S3Path::Bucket { bucket: "gone".into() }), None);
        assert_eq!(code("HeadObject", object("here", "folder")).as_deref(), Some("NoSuchKey"));
        assert_eq!(code("PutObject", object("here", "folder/key")), None);
        assert_eq!(code("ListBuckets", S3Path::Root), None);
    }
}
