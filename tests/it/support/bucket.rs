//! The bucket of a laboratory, asked and changed directly.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;

use super::scene::Scene;

fn with<T>(scene: &Scene, work: impl AsyncFnOnce(Client, &str) -> T) -> T {
    let (access_key, secret_key) = scene.lab.s3_keys();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .endpoint_url(scene.lab.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        // The SDK's own client panics on a machine without CA certificates.
        .http_client(Builder::new().build_http())
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(Client::from_conf(config), scene.lab.bucket()))
}

/// Keys of the test's objects that begin so, without the test's own prefix; sorted.
pub fn keys(scene: &Scene, prefix: &str) -> Vec<String> {
    let own = format!("{}/", scene.database);
    with(scene, async |client, bucket| {
        let pages = client.list_objects_v2().bucket(bucket).prefix(format!("{own}{prefix}")).into_paginator().send();
        let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        let objects = pages.iter().flat_map(|page| page.contents()).filter_map(|object| object.key());
        let mut keys: Vec<String> = objects.map(|key| key.strip_prefix(&own).unwrap().to_owned()).collect();
        keys.sort();
        keys
    })
}

/// What an object holds.
pub fn get(scene: &Scene, key: &str) -> Vec<u8> {
    let key = format!("{}/{key}", scene.database);
    with(scene, async |client, bucket| {
        let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    })
}

/// Writes an object, new or over the one that is there.
pub fn put(scene: &Scene, key: &str, content: &[u8]) {
    let key = format!("{}/{key}", scene.database);
    with(scene, async |client, bucket| {
        let body = ByteStream::from(content.to_vec());
        client.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    });
}

/// Removes an object.
pub fn delete(scene: &Scene, key: &str) {
    let key = format!("{}/{key}", scene.database);
    with(scene, async |client, bucket| {
        client.delete_object().bucket(bucket).key(key).send().await.unwrap();
    });
}
