//! What makes a replicated table healthy. Pure.

use crate::model::words::count;

/// The state of a replicated table on one host, from `system.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Read-only: lost Keeper, or its metadata is gone.
    pub is_readonly: bool,
    /// The session with Keeper ran out.
    pub is_session_expired: bool,
    /// Parts to come.
    pub future_parts: u64,
    /// Parts in doubt.
    pub parts_to_check: u64,
    /// Entries of the queue that bring data.
    pub inserts_in_queue: u64,
    /// Last entry of the shared log.
    pub log_max_index: u64,
    /// Next entry this replica takes.
    pub log_pointer: u64,
    /// Replicas known to Keeper.
    pub total_replicas: u64,
    /// Replicas with a live session.
    pub active_replicas: u64,
    /// Keeper path.
    pub zookeeper_path: String,
    /// Name of the replica.
    pub replica_name: String,
    /// What Keeper answered when these columns were read.
    pub zookeeper_exception: String,
    /// What went wrong when the queue was updated last; it stays after things are well again (seen on 26.7).
    pub last_queue_update_exception: String,
    /// What is wrong with an entry of the queue.
    pub queue_exception: String,
}

impl Replica {
    /// Whether it still waits for something, so that asking again may tell more.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.inserts_in_queue > 0
            || self.parts_to_check > 0
            || (self.log_max_index > 0 && self.log_pointer <= self.log_max_index)
    }

    /// Whether waiting may heal it.
    #[must_use]
    pub fn may_settle(&self) -> bool {
        self.is_behind()
            || self.future_parts > 0
            || self.is_readonly
            || self.is_session_expired
            || self.active_replicas < self.total_replicas
    }

    /// Everything that is not healthy. `replicas` is the number the environment has for this shard; `peer` the
    /// Keeper path of the same table on the first replica.
    #[must_use]
    pub fn problems(&self, replicas: u64, peer: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |problem: bool, text: String| {
            if problem {
                found.push(text);
            }
        };
        add(self.is_readonly, "read-only".to_owned());
        add(self.is_session_expired, "its session with Keeper has expired".to_owned());
        add(!self.zookeeper_exception.is_empty(), format!("Keeper: {}", short(&self.zookeeper_exception)));
        add(self.inserts_in_queue > 0, format!("{} with data in its queue", count(self.inserts_in_queue, "entry")));
        add(self.parts_to_check > 0, format!("{} in doubt", count(self.parts_to_check, "part")));
        let lags = self.log_max_index > 0 && self.log_pointer <= self.log_max_index;
        add(lags, format!("it is at entry {} of the log, which has {}", self.log_pointer, self.log_max_index));
        add(
            self.total_replicas != replicas,
            format!("Keeper knows {}, the environment has {replicas}", count(self.total_replicas, "replica")),
        );
        add(
            self.active_replicas != self.total_replicas,
            format!("{} of {} replicas are active", self.active_replicas, self.total_replicas),
        );
        if let Some(path) = peer {
            add(
                path != self.zookeeper_path,
                format!(
                    "its Keeper path is {}, on the first replica {path}: they do not replicate each other",
                    self.zookeeper_path
                ),
            );
        }
        add(!self.queue_exception.is_empty(), format!("an entry of its queue fails: {}", short(&self.queue_exception)));
        let stuck = !self.last_queue_update_exception.is_empty() && (self.is_behind() || self.is_readonly);
        add(stuck, format!("its queue cannot be updated: {}", short(&self.last_queue_update_exception)));
        found
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas() {
        let healthy = Replica {
            log_max_index: 3,
            log_pointer: 4,
            total_replicas: 2,
            active_replicas: 2,
            zookeeper_path: "/t".to_owned(),
            ..Replica::default()
        };
        assert_eq!(healthy.problems(2, Some("/t")), Vec::<String>::new());
        let stale = Replica { last_queue_update_exception: "Session expired".to_owned(), ..healthy.clone() };
        assert_eq!(stale.problems(2, None), Vec::<String>::new());
        let empty_log = Replica { log_max_index: 0, log_pointer: 0, ..healthy.clone() };
        assert!(!empty_log.is_behind());
        assert_eq!(healthy.problems(3, Some("/u")).len(), 2);
        let behind = Replica { log_pointer: 3, is_readonly: true, inserts_in_queue: 1, active_replicas: 1, ..healthy };
        assert_eq!(behind.problems(2, None).len(), 4);
        assert!(behind.may_settle());
    }
}
