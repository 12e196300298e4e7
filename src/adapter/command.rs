//! Local commands, each in a process group of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::command_mark;
use crate::engine::ports::{Command, CommandLife, CommandOutput, Commands};

/// This much of the end of each output is kept.
const TAIL: usize = 64 * 1024;

/// How long to wait for outputs that a left-over grandchild keeps open.
const LINGER: Duration = Duration::from_secs(2);

/// Starts commands of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalCommands;

#[async_trait]
impl Commands for LocalCommands {
    async fn run(&self, command: Command) -> Result<CommandOutput, String> {
        let (program, arguments) = command.words.split_first().ok_or_else(|| "the command has no words".to_owned())?;
        let mut process = tokio::process::Command::new(program);
        process
            .args(arguments)
            .stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C of the terminal must reach the engine alone, and the time-out must
            // reach everything that the command started.
            .process_group(0)
            .kill_on_drop(true);
        for name in &command.without {
            process.env_remove(name);
        }
        for (name, value) in &command.environment {
            process.env(name, value.expose_secret());
        }
        if let Some(directory) = &command.directory {
            process.current_dir(directory);
        }
        let mark = command.mark.as_deref().map(command_mark::hold).transpose()?;
        let mut child = process.spawn().map_err(|error| format!("{program}: {error}"))?;
        let group = Group::of(child.id());
        // From here on the command alone holds it.
        if let (Some(mark), Some(id)) = (mark, child.id()) {
            mark.names(id);
        }
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), command.input.clone()) {
            // A command that does not read all of it ends as it likes; its exit code tells.
            tokio::spawn(async move {
                let _ = stdin.write_all(input.as_bytes()).await;
            });
        }
        let stdout = Tail::read(child.stdout.take());
        let stderr = Tail::read(child.stderr.take());
        let waited = tokio::time::timeout(command.timeout, child.wait()).await;
        let (code, timed_out) = match waited {
            Ok(Ok(status)) => (status.code(), false),
            Ok(Err(error)) => return Err(format!("{program}: {error}")),
            Err(_) => {
                group.kill();
                // Reaps it; the signal cannot be refused.
                child.wait().await.map_err(|error| format!("{program}: {error}"))?;
                (None, true)
            }
        };
        if !timed_out {
            group.forget();
        }
        Ok(CommandOutput { code, stdout: stdout.end().await, stderr: stderr.end().await, timed_out })
    }

    fn mark(&self, name: &str) -> Result<PathBuf, String> {
        command_mark::make(name)
    }

    fn life(&self, mark: &Path) -> CommandLife {
        command_mark::life(mark)
    }
}

/// Kills a process group when it is dropped before its command ended, e.g. because the run was cancelled.
struct Group {
    leader: Mutex<Option<Pid>>,
}

impl Group {
    fn of(id: Option<u32>) -> Self {
        let leader = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { leader: Mutex::new(leader) }
    }

    fn take(&self) -> Option<Pid> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn kill(&self) {
        if let Some(leader) = self.take() {
            // The only expected failure is that the group has ended already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    fn forget(&self) {
        self.take();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Collects the end of an output while it is written.
struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Tail {
    fn read(output: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let target = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            let Some(mut output) = output else { return };
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(length) = output.read(&mut chunk).await {
                if length == 0 {
                    break;
                }
                let mut kept = target.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[..length]);
                if kept.len() > 2 * TAIL {
                    let cut = kept.len() - TAIL;
                    kept.drain(..cut);
                }
            }
        });
        Self { kept, reader }
    }

    async fn end(self) -> String {
        let Self { kept, mut reader } = self;
        if tokio::time::timeout(LINGER, &mut reader).await.is_err() {
            reader.abort();
        }
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = kept.len().saturating_sub(TAIL);
        // Not in the middle of a character.
        while start > 0 && start < kept.len() && kept[start] & 0xC0 == 0x80 {
            start += 1;
        }
        String::from_utf8_lossy(&kept[start..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use secrecy::SecretString;

    use super::*;

    fn shell(script: &str, timeout: Duration) -> Command {
        Command {
            words: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            environment: vec![("CLICKFERRY_TEST".to_owned(), SecretString::from("from outside"))],
            directory: Some(std::env::temp_dir()),
            timeout,
            ..Command::default()
        }
    }

    #[tokio::test]
    async fn a_command_reads_its_input_to_the_end() {
        let command = Command { input: Some("a line".to_owned()), ..shell("cat; exit 7", Duration::from_secs(20)) };
        let output = LocalCommands.run(command).await.expect("starts");
        assert_eq!((output.code, output.stdout.as_str()), (Some(7), "a line"));
    }

    #[tokio::test]
    async fn tells_code_and_outputs() {
        let script = "echo \"$CLICKFERRY_TEST\"; echo bad >&2; exit 3";
        let output = LocalCommands.run(shell(script, Duration::from_secs(10))).await.unwrap();
        assert_eq!(output.code, Some(3));
        assert_eq!(output.stdout, "from outside\n");
        assert_eq!(output.stderr, "bad\n");
        assert!(!output.timed_out);
    }

    #[tokio::test]
    async fn keeps_the_end_of_a_long_output() {
        let script = "i=0; while [ $i -lt 3000 ]; do printf '%060d\\n' $i; i=$((i+1)); done";
        let output = LocalCommands.run(shell(script, Duration::from_secs(30))).await.unwrap();
        assert_eq!(output.stdout.len(), TAIL);
        assert!(output.stdout.ends_with("2999\n"));
    }

    #[tokio::test]
    async fn kills_the_whole_group_when_time_runs_out() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        let script = format!("(sleep 2; touch {}) & echo started; wait", mark.display());
        let start = Instant::now();
        let output = LocalCommands.run(shell(&script, Duration::from_millis(500))).await.unwrap();
        assert!(output.timed_out);
        assert_eq!(output.code, None);
        assert_eq!(output.stdout, "started\n");
        assert!(start.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!mark.exists(), "a grandchild outlived the time-out");
    }

    #[tokio::test]
    async fn a_dropped_run_takes_its_group_along() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        let script = format!("(sleep 1; touch {}) & wait", mark.display());
        let run = LocalCommands.run(shell(&script, Duration::from_secs(60)));
        assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn says_what_cannot_be_started() {
        let mut command = shell("", Duration::from_secs(1));
        command.words = vec!["/no/such/program".to_owned()];
        let error = LocalCommands.run(command).await.unwrap_err();
        assert!(error.starts_with("/no/such/program: "), "{error}");
    }

    #[tokio::test]
    async fn a_variable_that_it_is_not_to_have_is_taken_away() {
        let mut command = shell("echo \"${PATH:-gone} $CLICKFERRY_TEST\"", Duration::from_secs(10));
        command.words[0] = "/bin/sh".to_owned();
        command.without = vec!["PATH".to_owned(), "CLICKFERRY_TEST".to_owned()];
        let output = LocalCommands.run(command).await.unwrap();
        // Some shells have a PATH of their own.
        assert!(output.stdout.ends_with(" from outside\n"), "{output:?}");
        assert!(!output.stdout.starts_with(&std::env::var("PATH").unwrap()), "{output:?}");
    }

    #[tokio::test]
    async fn a_mark_tells_whether_its_command_runs() {
        let mark = LocalCommands.mark(&format!("test-{}", std::process::id())).unwrap();
        assert_eq!(LocalCommands.life(&mark), CommandLife::Ended, "never began");
        let command = Command { mark: Some(mark.clone()), ..shell("sleep 1", Duration::from_secs(20)) };
        let running = tokio::spawn(async move { LocalCommands.run(command).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(matches!(LocalCommands.life(&mark), CommandLife::Running(_)));
        running.await.unwrap().unwrap();
        assert_eq!(LocalCommands.life(&mark), CommandLife::Ended);
        // Without the process id the lock alone tells; without the lock the process does.
        let command = Command { mark: Some(mark.clone()), ..shell("exec sleep 1", Duration::from_secs(20)) };
        let running = tokio::spawn(async move { LocalCommands.run(command).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let named = std::fs::read(&mark).unwrap();
        std::fs::write(&mark, "").unwrap();
        assert!(matches!(LocalCommands.life(&mark), CommandLife::Running(_)));
        let other = mark.with_extension("copy");
        std::fs::write(&other, named).unwrap();
        assert!(matches!(LocalCommands.life(&other), CommandLife::Running(_)));
        running.await.unwrap().unwrap();
        for mark in [mark, other] {
            assert_eq!(LocalCommands.life(&mark), CommandLife::Ended);
            std::fs::remove_file(&mark).unwrap();
            assert!(matches!(LocalCommands.life(&mark), CommandLife::Unknown(_)));
        }
    }
}
