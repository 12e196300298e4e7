//! The limits of a runbook, `guards:`. What they do stands in `docs/guards.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{DatabaseName, DurationText, RateText, TargetRole, TimeOfDay, TimeZoneName};

/// Limits of a runbook. No option of the command line changes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// The most that a plan of this runbook may destroy, over all hosts; more is refused, whoever asks.
    /// Absent: nothing that holds tables or rows may be destroyed.
    #[serde(default)]
    pub loss: LossBudget,
    /// Versions of the server that a backup comes from and of those it is restored to. Also without this, a restore
    /// to an older release than the backup's is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionsGuard>,
    /// Free space on every host that is restored to. Also without this, 10 percent more than the data must be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskGuard>,
    /// Nobody may write to these targets when an apply begins; who does is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_freeze: Option<WriteFreezeGuard>,
    /// The hours in which an apply may begin, and before whose end its predicted time must be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowGuard>,
    /// Signatures over the plan that an apply needs besides consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsGuard>,
}

/// A budget of loss. Every replica's copy counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossBudget {
    /// Most tables dropped or emptied.
    #[serde(default)]
    pub tables: u64,
    /// Most rows destroyed.
    #[serde(default)]
    pub rows: u64,
    /// Most bytes on disk destroyed; absent means that bytes are not limited.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Most hosts on which something is destroyed; absent means that they are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}

/// How far versions may be apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsGuard {
    /// Most releases between the server of a backup and each server that it is restored to. A release is a year and a
    /// month, so 25.3 and 26.7 are 16 apart; patches do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_distance: Option<u32>,
    /// Whether a backup may be restored to an older release than the one that made it.
    #[serde(default)]
    pub allow_older: bool,
    /// Release that made the backups which are in the bucket already, e.g. `"25.3"`: a backup does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_existing_backups: Option<String>,
}

/// Free space on every host that is restored to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskGuard {
    /// Percent that must be free beyond the size of what is restored.
    #[serde(default = "default_headroom")]
    pub headroom: u32,
}

fn default_headroom() -> u32 {
    10
}

impl Default for DiskGuard {
    fn default() -> Self {
        Self { headroom: default_headroom() }
    }
}

/// Nobody may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFreezeGuard {
    /// Targets that nobody may write to.
    #[schemars(length(min = 1))]
    pub on: Vec<TargetRole>,
    /// Databases that count; all but the server's own when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseName>,
    /// How long nobody may write: so far back `system.query_log` is read, and so long the servers are watched.
    #[serde(default = "default_freeze")]
    pub r#for: DurationText,
}

fn default_freeze() -> DurationText {
    DurationText("30s".to_owned())
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// As it stands in the runbook.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }
}

/// A maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowGuard {
    /// Days on which it opens; every day when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// When it opens, e.g. `"01:00"`.
    pub from: TimeOfDay,
    /// When it closes, e.g. `"05:00"`; on the day after where it is not later than `from`.
    pub to: TimeOfDay,
    /// Time zone, e.g. `Europe/Berlin`.
    pub timezone: TimeZoneName,
    /// How fast a host is taken to back up or restore, for the predicted time.
    #[serde(default = "default_rate")]
    pub rate: RateText,
}

fn default_rate() -> RateText {
    RateText("50 MiB/s".to_owned())
}

/// Signatures that an apply needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsGuard {
    /// Least number of people who signed the plan.
    #[schemars(range(min = 1))]
    pub count: u32,
    /// File of who may sign, as `ALLOWED SIGNERS` of ssh-keygen(1) describes it; relative to the environment file.
    pub signers: String,
}
