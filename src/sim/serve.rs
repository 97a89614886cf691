//! One request from its head to its answer.
//!
//! `serve` is the line: route, read, check, strike, wait, answer. A refusal at
//! any point becomes the provider's error; a fault that is no answer becomes a
//! broken stream.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep_until};

use super::Sim;
use super::answer::Answer;
use super::ask::{self, Form};
use super::dice::{Dice, mix};
use super::embed::Embed;
use super::fault::Fault;
use super::head::{self, Head};
use super::line::Switch;
use super::orders::Orders;
use super::playback::Playback;
use super::raw;
use super::refusal::{Accent, Refusal};
use super::reply::{self, Content, Course, Reply};
use super::route::Route;
use super::script::{self, Call, Script};
use super::stats::Endpoint;
use super::tally::Tally;

/// One call being answered.
struct Visit {
    sim: Arc<Sim>,
    switch: Arc<Switch>,
    is_h2: bool,
    accent: Accent,
    request_id: String,
    arrived: Instant,
    dice: Dice,
    tally: Tally,
}

/// Why there is no ordinary answer.
enum Stop {
    Refused(Refusal),
    /// The stream breaks; on HTTP/1.1 with its connection.
    Broken(h2::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Answers one request.
pub(crate) async fn serve(
    sim: Arc<Sim>,
    switch: Arc<Switch>,
    request: Request<Incoming>,
) -> Result<Response<Playback>, h2::Error> {
    if let Some(response) = control(&sim, &request) {
        return Ok(response);
    }
    let (head, body) = request.into_parts();
    let (accent, route) = Route::of(&head);
    let endpoint = route.as_ref().map_or(Endpoint::Unknown, Route::endpoint);
    let mut visit = Visit::new(sim, switch, accent, head.version);
    visit.sim.stats.arrived(endpoint);
    let orders = Orders::read(&head.headers, &visit.sim.settings, &mut visit.dice);
    let outcome = match orders {
        Ok(orders) => match visit.reply(&head, body, route, &orders).await {
            Ok(reply) => return Ok(visit.answer(reply, &orders).await),
            Err(stop) => stop,
        },
        Err(refusal) => Stop::Refused(refusal),
    };
    match outcome {
        Stop::Refused(refusal) => Ok(visit.refuse(&refusal)),
        Stop::Broken(error) => {
            visit.tally.struck();
            Err(error)
        }
    }
}

/// `/sim/stats` and `/sim/reset`: neither counted nor struck by faults.
fn control(sim: &Arc<Sim>, request: &Request<Incoming>) -> Option<Response<Playback>> {
    let json = match (request.method(), request.uri().path()) {
        (&Method::GET, "/sim/stats" | "/stats") => sim.stats.to_json(),
        (&Method::POST, "/sim/reset") => {
            sim.stats.reset();
            "{}".to_owned()
        }
        _ => return None,
    };
    let mut response = Response::new(Playback::whole(Bytes::from(json), None));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Some(response)
}

impl Visit {
    fn new(sim: Arc<Sim>, switch: Arc<Switch>, accent: Accent, version: Version) -> Self {
        // Latencies and ids go by arrival; what is said goes by what was asked.
        let number = sim.visits.fetch_add(1, Relaxed);
        let mut dice = Dice::new(mix(sim.settings.seed, number));
        let request_id = head::request_id(accent, &mut dice);
        let is_h2 = version == Version::HTTP_2;
        if is_h2 && switch.first_h2() {
            sim.stats.connections_h2.fetch_add(1, Relaxed);
        }
        Self {
            tally: Tally::open(sim.clone()),
            sim,
            switch,
            is_h2,
            accent,
            request_id,
            arrived: Instant::now(),
            dice,
        }
    }

    /// Makes the answer, unless a refusal or a fault comes first.
    async fn reply(
        &mut self,
        head: &Parts,
        body: Incoming,
        route: Result<Route, Refusal>,
        orders: &Orders,
    ) -> Result<Reply, Stop> {
        if orders.fault.is_some() {
            self.sim.stats.faults.fetch_add(1, Relaxed);
        }
        let route = route?;
        self.admit(head, &route)?;
        if matches!(route, Route::Echo | Route::Upload) {
            let measured = raw::measure(body).await.map_err(|_| gone())?;
            self.strike(orders.fault, head.version).await?;
            return Ok(match route {
                Route::Upload => Reply::json(Bytes::from(measured.to_string())),
                _ => Reply::json(raw::echo(head, &measured)),
            });
        }
        let body = self.read(body).await?;
        self.arrived = Instant::now();
        let reply = match route {
            Route::Text(form) => self.text(form, &body, orders)?,
            Route::CountTokens => {
                let ask = ask::count(&body)?;
                self.sim.stats.asked(&ask.model, false);
                Reply::json(Bytes::from(json!({"input_tokens": ask.input}).to_string()))
            }
            Route::Embeddings => self.embed(&body)?,
            Route::Models(id) => Reply::json(self.models(id.as_deref())?),
            Route::Download(0) => Reply::json(Bytes::new()),
            Route::Download(bytes) => Reply {
                content: Content::Blocks(raw::download(bytes, self.sim.settings.seed), bytes),
                content_type: "application/octet-stream",
                ..Reply::json(Bytes::new())
            },
            Route::Echo | Route::Upload => Reply::json(Bytes::new()),
        };
        let streams = !matches!(reply.content, Content::Whole(_));
        let fault = match orders.fault {
            // A provider that fails in the middle of an answer nobody sees says so in its status.
            Some(Fault::Error(_)) if !streams => Some(Fault::Status(500, 1)),
            fault => fault,
        };
        self.strike(fault, head.version).await?;
        Ok(reply)
    }

    /// Checks what stands in the head.
    fn admit(&self, head: &Parts, route: &Route) -> Result<(), Refusal> {
        let settings = &self.sim.settings;
        if !settings.api_keys.is_empty() {
            let bearer = head
                .headers
                .get("authorization")
                .and_then(|value| value.to_str().ok());
            let key = bearer.and_then(|value| value.strip_prefix("Bearer "));
            let header = head
                .headers
                .get("x-api-key")
                .and_then(|value| value.to_str().ok());
            let key = key.or(header).unwrap_or("");
            if !settings.api_keys.iter().any(|known| known == key) {
                return Err(Refusal::status(401, 0));
            }
        }
        let needs_version = matches!(route, Route::Text(Form::Messages) | Route::CountTokens);
        if settings.strict && needs_version && !head.headers.contains_key("anthropic-version") {
            return Err(Refusal::of(
                400,
                None,
                "anthropic-version: header is required",
            ));
        }
        Ok(())
    }

    /// Reads a body that may be held.
    async fn read(&self, mut body: Incoming) -> Result<Bytes, Stop> {
        let limit = self.sim.settings.max_body;
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| gone())?.into_data() else {
                continue;
            };
            if (first.len() + rest.len() + data.len()) as u64 > limit {
                let message = format!("the body is larger than {limit} bytes");
                return Err(Refusal::of(413, Some("request_too_large"), message).into());
            }
            // Most bodies come in one frame: that one is not copied.
            if first.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok(if rest.is_empty() {
            first
        } else {
            rest.freeze()
        })
    }

    fn text(&mut self, form: Form, body: &[u8], orders: &Orders) -> Result<Reply, Refusal> {
        let ask = ask::read(form, body)?;
        let sim = &self.sim;
        sim.stats.asked(&ask.model, ask.stream);
        sim.stats.tokens_in.fetch_add(ask.input, Relaxed);
        let answer = Answer::to(&ask, sim.settings.seed, &orders.tokens);
        let (input, output, longest) = (answer.input, answer.output, answer.longest());
        let call = Call {
            id: script::id(24, &mut self.dice),
            created: head::now(),
            fingerprint: mix(sim.settings.seed, 0),
            ask,
            answer,
        };
        Ok(if call.ask.stream {
            Reply {
                content: Content::Stream(Box::new(Script::new(call))),
                content_type: "text/event-stream; charset=utf-8",
                input,
                output: 0,
                longest: 0,
            }
        } else {
            Reply {
                input,
                output,
                longest,
                ..Reply::json(script::whole(&call))
            }
        })
    }

    fn embed(&self, body: &[u8]) -> Result<Reply, Refusal> {
        let embed = Embed::read(body)?;
        let Sim {
            settings, stats, ..
        } = &*self.sim;
        stats.asked(&embed.model, false);
        stats.tokens_in.fetch_add(embed.input, Relaxed);
        stats.texts_embedded.fetch_add(embed.len() as u64, Relaxed);
        let answer = embed.answer(settings.seed, settings.dimensions);
        Ok(Reply {
            input: embed.input,
            ..Reply::json(answer)
        })
    }

    fn models(&self, id: Option<&str>) -> Result<Bytes, Refusal> {
        // When the simulated models were made: a constant, so that lists compare equal.
        const CREATED: u64 = 1_735_689_600;
        let one = |id: &str| match self.accent {
            Accent::OpenAi => {
                json!({"id": id, "object": "model", "created": CREATED, "owned_by": "sim"})
            }
            Accent::Anthropic => json!({
                "type": "model", "id": id, "display_name": id, "created_at": head::rfc3339(CREATED),
            }),
        };
        let models = &self.sim.settings.models;
        let json: Value = match (id, self.accent) {
            (Some(id), _) if models.iter().any(|model| model == id) => one(id),
            (Some(id), _) => {
                let message = format!("the model '{id}' does not exist");
                return Err(Refusal::of(404, Some("model_not_found"), message));
            }
            (None, Accent::OpenAi) => {
                let data: Vec<_> = models.iter().map(|id| one(id)).collect();
                json!({"object": "list", "data": data})
            }
            (None, Accent::Anthropic) => {
                let data: Vec<_> = models.iter().map(|id| one(id)).collect();
                json!({
                    "data": data, "has_more": false,
                    "first_id": models.first(), "last_id": models.last(),
                })
            }
        };
        Ok(Bytes::from(json.to_string()))
    }

    /// Lets the faults strike that come before the head, or change it.
    async fn strike(&mut self, fault: Option<Fault>, version: Version) -> Result<(), Stop> {
        let Some(fault) = fault else { return Ok(()) };
        match fault {
            Fault::Status(status, wait) => return Err(Refusal::status(status, wait).into()),
            Fault::Refuse => return Err(Stop::Broken(h2::Reason::REFUSED_STREAM.into())),
            Fault::Reset => {
                if !self.is_h2 {
                    self.switch.abrupt();
                }
                return Err(Stop::Broken(h2::Reason::INTERNAL_ERROR.into()));
            }
            Fault::Hangup => {
                self.tally.struck();
                self.switch.abrupt();
                self.switch.drop_now();
                std::future::pending::<()>().await;
            }
            Fault::Stall => std::future::pending::<()>().await,
            // Both lengths end inside what comes first: the status line, a frame's header.
            Fault::ResetHead => self.switch.cut_after(if self.is_h2 { 5 } else { 20 }),
            Fault::Junk => self.switch.junk(b"\x00\xffthis is not http\r\n\r\n"),
            Fault::EarlyHints if version == Version::HTTP_11 => {
                self.switch
                    .ahead(b"HTTP/1.1 103 Early Hints\r\nlink: </sim>; rel=preload\r\n\r\n");
            }
            Fault::Goaway if self.is_h2 => {
                self.switch.leave();
                // The task that drives the connection says GOAWAY before this stream goes on.
                tokio::task::yield_now().await;
            }
            Fault::CloseIdle(millis) => {
                // Never at once: the answer's last bytes must be out first, and a
                // slow reader takes a while over them.
                let wait = Duration::from_millis(millis.max(20));
                self.tally.close_after(self.switch.clone(), wait);
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse(self, refusal: &Refusal) -> Response<Playback> {
        self.sim.stats.refused.fetch_add(1, Relaxed);
        let head = Head {
            status: refusal.status,
            accent: self.accent,
            request_id: &self.request_id,
            content_type: "application/json",
            took: self.arrived.elapsed(),
            input: 0,
            retry_after: refusal.retry_after,
        };
        let body = refusal.body(self.accent, &self.request_id);
        head.with(Playback::whole(body, Some(self.tally)))
    }

    /// Gives the answer its head, in its time.
    async fn answer(mut self, reply: Reply, orders: &Orders) -> Response<Playback> {
        let mut due = self.arrived + orders.ttft.draw(&mut self.dice);
        let is_stream = matches!(reply.content, Content::Stream(_));
        if !is_stream {
            due += orders
                .gap
                .sum(reply.longest.saturating_sub(1), &mut self.dice);
        }
        if due > Instant::now() && !(is_stream && orders.early_head) {
            sleep_until(due).await;
        }
        self.tally.said(reply.output);
        let head = Head {
            status: 200,
            accent: self.accent,
            request_id: &self.request_id,
            content_type: reply.content_type,
            took: self.arrived.elapsed(),
            input: reply.input,
            retry_after: None,
        };
        let mut response = head.with(());
        reply::mark(
            response.headers_mut(),
            &reply.content,
            orders.fault,
            self.is_h2,
        );
        let course = Course {
            orders,
            due,
            dice: self.dice,
            connection: (!self.is_h2).then_some(self.switch),
            request_id: self.request_id,
            tally: self.tally,
        };
        response.map(|()| course.play(reply.content))
    }
}

/// The client went away while its body was being read.
fn gone() -> Stop {
    Stop::Broken(h2::Reason::CANCEL.into())
}
