//! The binary at a real terminal: a pseudo-terminal of `script`, typed into by the test.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{PATIENCE, wait_until};
use super::scene::Scene;

/// A session at a terminal of 80 columns.
pub struct Terminal {
    script: Child,
    keyboard: Option<ChildStdin>,
    screen: PathBuf,
}

/// How a session ended.
pub struct Session {
    /// Exit code; 128 and the signal's number where one ended it.
    pub code: Option<i32>,
    /// All that was on the screen.
    pub screen: String,
}

impl Terminal {
    /// Starts the binary with the scene's environment; the arguments hold no blanks.
    pub fn start(scene: &Scene, arguments: &[&str]) -> Self {
        let screen = scene.test.path().join("screen");
        let line = format!(
            "stty cols 80 rows 50; exec {} {} -e environment.yaml",
            env!("CARGO_BIN_EXE_clickferry"),
            arguments.join(" ")
        );
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(scene.test.path())
            .env_remove("CLICKFERRY_ENVIRONMENT")
            .env_remove("CLICKFERRY_STATE")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(File::create(&screen).unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let keyboard = script.stdin.take();
        Self { script, keyboard, screen }
    }

    /// Waits until this stands on the screen.
    pub fn shows(&mut self, text: &str) -> &mut Self {
        wait_until(text, || {
            let is_there = self.screen().contains(text);
            let has_ended = self.script.try_wait().unwrap().is_some();
            assert!(is_there || !has_ended, "ended without {text}:\n{}", self.screen());
            is_there
        });
        self
    }

    /// Types, as it is: `\n` is the Enter key, `\x03` Ctrl-C, `\x04` Ctrl-D.
    pub fn types(&mut self, keys: &str) -> &mut Self {
        let keyboard = self.keyboard.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
        keyboard.flush().unwrap();
        self
    }

    /// Waits for its end.
    pub fn ends(&mut self) -> Session {
        let end = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        };
        Session { code, screen: self.screen() }
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.screen).unwrap()).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.script.try_wait(), Ok(None)) {
            let _ = self.script.kill();
            let _ = self.script.wait();
        }
    }
}

impl Session {
    /// Fails unless it ended with this code and all of these words, wherever lines were broken.
    pub fn ended(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.screen);
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let screen = flat(&self.screen);
        for word in words {
            assert!(screen.contains(&flat(word)), "no {word:?} in:\n{}", self.screen);
        }
    }
}
