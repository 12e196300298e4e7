//! From the standard variables to a collector: made at the start of a command, sent out before its end.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};

use super::sender::Sender;
use super::spans::Spans;
use crate::adapter::redact::Redactor;
use crate::cli::printer::Printer;
use crate::engine::event::{Observer, RunEvent};
use crate::plan::plan_file::sha256;

/// How long the end of a command waits for the last spans to be sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// The trace of one run.
pub struct Traces {
    provider: SdkTracerProvider,
    sender: Sender,
    spans: Mutex<Spans>,
    trace: TraceOfRun,
    redactor: Redactor,
}

impl Traces {
    /// Traces to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) names; `None` where
    /// neither does. A mistake in the variables is told once and is no reason not to run.
    #[must_use]
    pub fn from_environment(printer: &Printer) -> Option<Self> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        if is_off || !names.into_iter().any(is_set) {
            return None;
        }
        match Self::new(printer.redactor().clone()) {
            Ok(traces) => Some(traces),
            Err(reason) => {
                tell(printer, &reason);
                None
            }
        }
    }

    fn new(redactor: Redactor) -> Result<Self, String> {
        let sender = Sender::new();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(sender.clone())
            .build()
            .map_err(|error| error.to_string())?;
        let trace = TraceOfRun::default();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("clickferry");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_id_generator(trace.clone())
            .with_resource(resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build())
            .build();
        let spans = Mutex::new(Spans::new(provider.tracer("clickferry")));
        Ok(Self { provider, sender, spans, trace, redactor })
    }

    /// Ends what is open and sends the rest. Waits for a moment only; what could not be sent is told once.
    pub async fn finish(&self, printer: &Printer) {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).end();
        let provider = self.provider.clone();
        // It waits for the thread that sends, which needs this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE)).await;
        let reason = match (self.sender.failure(), ended) {
            (Some(reason), _) => reason,
            (None, Ok(Ok(()))) => return,
            (None, _) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tell(printer, &self.redactor.scrub(&reason));
    }
}

fn tell(printer: &Printer, reason: &str) {
    let text = format!("The trace was not sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT: {reason}\n");
    printer.error(&printer.err_style().notice(&text));
}

impl Observer for Traces {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::Started { run, .. } = event {
            self.trace.is_of(run.as_str());
        }
        let scrub = |text: &str| self.redactor.scrub(text).to_string();
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).event(event, &scrub);
    }
}

/// One trace for a run, also where another process carries on with it: its id is made from the run's.
#[derive(Clone, Debug, Default)]
struct TraceOfRun {
    id: Arc<OnceLock<TraceId>>,
    random: RandomIdGenerator,
}

impl TraceOfRun {
    fn is_of(&self, run: &str) {
        if let Ok(id) = TraceId::from_hex(&sha256(run.as_bytes())[..32]) {
            // A process works on one run.
            let _ = self.id.set(id);
        }
    }
}

impl IdGenerator for TraceOfRun {
    fn new_trace_id(&self) -> TraceId {
        self.id.get().copied().unwrap_or_else(|| self.random.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.random.new_span_id()
    }
}
