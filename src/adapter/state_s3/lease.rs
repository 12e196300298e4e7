//! A held lock: renewed by compare-and-swap, believed in only while the last renewal is young.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::keys;
use crate::adapter::boot_clock::{BootClock, Moment};
use crate::adapter::s3::{Bucket, Condition, Written};
use crate::engine::ports::{LockGuard, LockHolder};

/// Attempts to give the lock back.
const ATTEMPTS: u32 = 3;

/// The lock object. Its content differs after every write, so that its ETag does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockFile {
    /// Format of this object.
    pub version: u32,
    /// Rises with every holder.
    pub epoch: u64,
    /// Different for every holder.
    pub nonce: String,
    /// Rises with every renewal.
    pub renewal: u64,
    /// How long the lock outlives its last renewal, in milliseconds.
    pub life_ms: u64,
    /// Who holds it; nobody when absent.
    pub holder: Option<LockHolder>,
    /// Runs whose former engines may not know yet that they lost the lock; fenced by whoever takes it next.
    pub unfenced: Vec<String>,
}

/// The lock as its holder knows it.
pub struct Lease {
    bucket: Arc<Bucket>,
    holder: LockHolder,
    nonce: String,
    life: Duration,
    /// The object as this process wrote it last, with its ETag.
    object: tokio::sync::Mutex<(LockFile, String)>,
    /// When the last request was sent that proved the lock to be ours.
    proven: Mutex<Moment>,
    clock: BootClock,
    /// Why the lock is lost; never turns back.
    lost: Mutex<Option<String>>,
    /// Why nothing more is appended, although the lock may still be ours. What was sent last may yet arrive.
    ended: Mutex<Option<String>>,
    /// The lock was proved to be held after the journal's end was read for the first time.
    pub anchored: AtomicBool,
}

impl Lease {
    pub fn new(
        bucket: Arc<Bucket>,
        holder: LockHolder,
        (file, etag): (LockFile, String),
        clock: BootClock,
        proven: Moment,
    ) -> Self {
        Self {
            bucket,
            holder,
            nonce: file.nonce.clone(),
            life: Duration::from_millis(file.life_ms),
            object: tokio::sync::Mutex::new((file, etag)),
            proven: Mutex::new(proven),
            clock,
            lost: Mutex::default(),
            ended: Mutex::default(),
            anchored: AtomicBool::new(false),
        }
    }

    /// The run that the lock was taken for.
    pub fn run(&self) -> &str {
        &self.holder.run
    }

    /// What tells this holder from every other.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The holder, for others to read.
    pub fn holder(&self) -> &LockHolder {
        &self.holder
    }

    /// Why the lock cannot be believed in any more, if so.
    pub fn doubt(&self) -> Option<String> {
        if let Some(reason) = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(reason);
        }
        let age = self.clock.age(&self.proven());
        // A third is left for clocks that run differently and for the write that follows the question.
        (age >= self.life * 2 / 3).then(|| {
            format!("the lock was not renewed for {} s, so somebody else may have taken it over", age.as_secs())
        })
    }

    /// The lock is gone for good.
    pub fn lose(&self, reason: impl Into<String>) -> String {
        let reason = reason.into();
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason).clone()
    }

    /// Why this process writes no more, if so.
    pub fn write_doubt(&self) -> Option<String> {
        self.doubt().or_else(|| self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Nothing more is written under this lock; and the next holder fences this run even after a proper release.
    pub fn end_writes(&self, reason: String) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// When the lock was last proved to be ours.
    fn proven(&self) -> Moment {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prove(&self, asked: Moment) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }

    /// Nobody has to be fenced any more; the next renewal says so to others.
    pub async fn forget_unfenced(&self) {
        self.object.lock().await.0.unfenced.clear();
    }

    /// Renews the lock. No news is no proof and no loss: the lease runs out by itself.
    async fn renew(&self) {
        let mut object = self.object.lock().await;
        let mut next = object.0.clone();
        next.renewal += 1;
        let Ok(text) = serde_json::to_vec(&next) else { return };
        let asked = self.clock.now();
        match self.bucket.put_once(keys::LOCK, &text, Condition::Unchanged(&object.1)).await {
            Ok(Some(etag)) => {
                *object = (next, etag);
                self.prove(asked);
            }
            // Perhaps refused for our own renewal, whose answer was lost.
            Ok(None) => self.read_again(&mut object).await,
            Err(_) => {}
        }
    }

    /// Reads the lock and believes what it says.
    async fn read_again(&self, object: &mut (LockFile, String)) {
        let asked = self.clock.now();
        match self.bucket.tagged(keys::LOCK).await {
            Ok(Some(found)) => match serde_json::from_slice::<LockFile>(&found.content) {
                Ok(file) if file.nonce == self.nonce && file.holder.is_some() => {
                    let unfenced = std::mem::take(&mut object.0.unfenced);
                    *object = (LockFile { unfenced, ..file }, found.etag);
                    self.prove(asked);
                }
                Ok(LockFile { holder: Some(other), .. }) => {
                    self.lose(format!("the lock was taken over by run {} of {}", other.run, other.owner));
                }
                _ => {
                    self.lose("the lock was removed by somebody else");
                }
            },
            Ok(None) => {
                self.lose("the lock object was deleted by somebody else");
            }
            Err(_) => {}
        }
    }

    /// Whether the store says now that the lock is ours.
    pub async fn confirm(&self) -> Result<(), String> {
        let mut object = self.object.lock().await;
        let before = self.proven();
        self.read_again(&mut object).await;
        drop(object);
        if let Some(reason) = self.doubt() {
            return Err(reason);
        }
        if self.proven() != before { Ok(()) } else { Err("the store did not tell who holds the lock".to_owned()) }
    }

    /// Gives the lock back.
    async fn free(&self) {
        let mut object = self.object.lock().await;
        for _ in 0..ATTEMPTS {
            if self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return;
            }
            let mut next = object.0.clone();
            next.renewal += 1;
            next.holder = None;
            if self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                next.unfenced.push(self.holder.run.clone());
            }
            let Ok(text) = serde_json::to_vec(&next) else { return };
            match self.bucket.write(keys::LOCK, &text, Condition::Unchanged(&object.1)).await {
                // A renewal that was cut off in the middle may have arrived.
                Ok(Written::Refused(_)) => self.read_again(&mut object).await,
                // Where the store does not answer, the lock runs out.
                Ok(Written::Done(_)) | Err(_) => {
                    self.lose("the lock was given back");
                }
            }
        }
    }
}

/// The lock in the hands of its holder; renewed for as long as this lives.
pub struct LeaseGuard {
    lease: Arc<Lease>,
    heartbeat: JoinHandle<()>,
}

impl LeaseGuard {
    /// Renews the lock from now on.
    pub fn start(lease: Arc<Lease>) -> Self {
        let renewed = Arc::clone(&lease);
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(renewed.life / 6).await;
                if renewed.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    return;
                }
                renewed.renew().await;
            }
        });
        Self { lease, heartbeat }
    }
}

#[async_trait]
impl LockGuard for LeaseGuard {
    fn is_held(&self) -> bool {
        self.lease.doubt().is_none()
    }

    async fn release(&self) {
        self.heartbeat.abort();
        self.lease.free().await;
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        // Without renewals it runs out by itself, should nobody have given it back.
        self.heartbeat.abort();
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::adapter::boot_clock::tests::ByHand;
    use crate::adapter::s3::BucketConfig;

    #[tokio::test]
    async fn a_lock_is_doubted_after_the_machine_slept() {
        let hand = ByHand::new();
        let clock = hand.clock();
        let bucket = Arc::new(Bucket::new(BucketConfig {
            endpoint: "http://127.0.0.1:1".to_owned(),
            bucket: "b".to_owned(),
            region: "us-east-1".to_owned(),
            prefix: String::new(),
            access_key: SecretString::from("a"),
            secret_key: SecretString::from("s"),
        }));
        let holder = LockHolder {
            run: "r".to_owned(),
            owner: String::new(),
            pid: 1,
            since: String::new(),
            machine: String::new(),
        };
        let file = LockFile {
            version: 1,
            epoch: 1,
            nonce: "n".to_owned(),
            renewal: 0,
            life_ms: 30_000,
            holder: Some(holder.clone()),
            unfenced: Vec::new(),
        };
        let lease = Lease::new(bucket, holder, (file, String::new()), clock.clone(), clock.now());
        hand.sleeps(Duration::from_secs(19));
        assert_eq!(lease.doubt(), None);
        hand.sleeps(Duration::from_secs(3600));
        assert!(lease.doubt().is_some_and(|doubt| doubt.contains("not renewed for 3619 s")));
    }
}
