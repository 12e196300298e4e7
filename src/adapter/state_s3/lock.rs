//! Taking the lock, watching somebody else's, taking over one whose holder gives no sign of life.
//!
//! No clock of another machine counts: a holder is given up when its lock object has not changed for its life on the
//! clock of the process that watches. Should that be a mistake, the fence keeps the former holder from writing.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::lease::{Lease, LeaseGuard, LockFile};
use super::{StateS3, keys};
use crate::adapter::boot_clock::Moment;
use crate::adapter::s3::{Condition, Tagged, Written};
use crate::engine::ports::{Held, Life, LockGuard, LockHolder, StateError, StateStore};

/// Format of the lock object.
const VERSION: u32 = 1;
/// Attempts to take a lock that others take and give back at the same time.
const ATTEMPTS: u32 = 10;

/// A lock of somebody else, as it was seen last.
pub struct Watch {
    etag: String,
    nonce: String,
    since: Moment,
}

/// What watching a lock tells.
enum Sign {
    /// It was renewed under our eyes.
    Alive,
    /// Nothing yet.
    None,
    /// Nothing for longer than the lock outlives its last renewal.
    Dead,
}

impl StateS3 {
    pub(super) async fn take_lock(&self, holder: &LockHolder) -> Result<LeaseGuard, StateError> {
        self.check_store().await?;
        for _ in 0..ATTEMPTS {
            let found = self.read_lock().await?;
            let mut next = LockFile {
                version: VERSION,
                epoch: 1,
                nonce: uuid::Uuid::now_v7().to_string(),
                renewal: 0,
                life_ms: u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX),
                holder: Some(holder.clone()),
                unfenced: Vec::new(),
            };
            let mut etag = None;
            if let Some((file, tagged)) = found {
                if let Some(other) = &file.holder {
                    match self.watch(&file, &tagged) {
                        Sign::Dead => next.unfenced.push(other.run.clone()),
                        sign => return Err(self.locked(other, matches!(sign, Sign::Alive))),
                    }
                }
                next.epoch = file.epoch + 1;
                next.unfenced.extend(file.unfenced);
                etag = Some(tagged.etag);
            }
            if let Some(guard) = self.swap(holder, next, etag.as_deref()).await? {
                return Ok(guard);
            }
        }
        Err(self.failed("taking the lock", format!("it changed hands {ATTEMPTS} times meanwhile")))
    }

    /// Replaces the lock object by ours, then fences those who had it before; `None` where somebody was quicker.
    async fn swap(
        &self,
        holder: &LockHolder,
        next: LockFile,
        etag: Option<&str>,
    ) -> Result<Option<LeaseGuard>, StateError> {
        let action = "taking the lock";
        let condition = etag.map_or(Condition::Absent, Condition::Unchanged);
        let text = serde_json::to_vec(&next).map_err(|error| self.failed(action, error.to_string()))?;
        let asked = self.clock.now();
        let written = self.bucket.write(keys::LOCK, &text, condition).await;
        let Written::Done(etag) = written.map_err(|error| self.store_error(action, &error))? else {
            return Ok(None);
        };
        let unfenced = next.unfenced.clone();
        let lease =
            Arc::new(Lease::new(Arc::clone(&self.bucket), holder.clone(), (next, etag), self.clock.clone(), asked));
        let guard = LeaseGuard::start(Arc::clone(&lease));
        for run in unfenced {
            if let Err(error) = self.fence(&run, &lease).await {
                // The list stays in the lock, for the next one who takes it.
                guard.release().await;
                return Err(error);
            }
        }
        lease.forget_unfenced().await;
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Ok(Some(guard))
    }

    pub(super) async fn look_at_lock(&self) -> Result<Option<Held>, StateError> {
        let Some((file, tagged)) = self.read_lock().await? else { return Ok(None) };
        let life = Duration::from_millis(file.life_ms);
        Ok(file.holder.map(|holder| Held { holder, life: Life::Renewed { mark: tagged.etag, life, at: tagged.at } }))
    }

    pub(super) async fn break_lock(&self, holder: &LockHolder) -> Result<(), StateError> {
        self.check_store().await?;
        let Some((file, tagged)) = self.read_lock().await? else { return Ok(()) };
        match &file.holder {
            None => return Ok(()),
            Some(found) if found != holder => return Err(self.locked(found, false)),
            Some(_) => {}
        }
        let mut unfenced = file.unfenced;
        unfenced.push(holder.run.clone());
        let nonce = uuid::Uuid::now_v7().to_string();
        let next =
            LockFile { epoch: file.epoch + 1, nonce, renewal: 0, unfenced, holder: Some(holder.clone()), ..file };
        // Held for the moment of fencing only.
        match self.swap(holder, next, Some(&tagged.etag)).await? {
            Some(guard) => {
                guard.release().await;
                Ok(())
            }
            None => Err(self.locked(holder, true)),
        }
    }

    /// Whether somebody else's lock shows a sign of life since this process saw it first.
    fn watch(&self, file: &LockFile, found: &Tagged) -> Sign {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let sign = match &*watch {
            Some(seen) if seen.etag == found.etag => {
                let is_over = self.clock.waited(&seen.since) > Duration::from_millis(file.life_ms);
                return if is_over { Sign::Dead } else { Sign::None };
            }
            Some(seen) if seen.nonce == file.nonce => Sign::Alive,
            _ => Sign::None,
        };
        *watch = Some(Watch { etag: found.etag.clone(), nonce: file.nonce.clone(), since: self.clock.now() });
        sign
    }

    async fn read_lock(&self) -> Result<Option<(LockFile, Tagged)>, StateError> {
        let action = "reading the lock";
        let found = self.bucket.tagged(keys::LOCK).await.map_err(|error| self.store_error(action, &error))?;
        let Some(tagged) = found else { return Ok(None) };
        match serde_json::from_slice::<LockFile>(&tagged.content) {
            Ok(file) if file.version == VERSION => Ok(Some((file, tagged))),
            Ok(file) => {
                Err(self.failed(action, format!("it has format {}, written by a newer clickferry", file.version)))
            }
            Err(_) => Err(self.failed(action, "the object `lock` is not a lock of clickferry; use another prefix")),
        }
    }

    fn locked(&self, holder: &LockHolder, is_alive: bool) -> StateError {
        StateError::Locked { location: self.describe(), holder: holder.clone(), is_alive }
    }
}
