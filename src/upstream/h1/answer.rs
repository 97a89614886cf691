//! The body of an HTTP/1.1 answer, read when it is asked for.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::reading::Reading;
use super::upload::{Halt, Upload};
use super::{Lease, read};
use crate::error::Source;
use crate::http1::{Malformed, with_scratch};
use crate::upstream::fault::{Fault, FaultKind};

/// An answer that is being read. Dropping it before its end closes the
/// connection.
pub(in crate::upstream) struct Answer {
    /// `None` once the body has ended, well or not.
    lease: Option<Lease>,
    reading: Reading,
    /// What of the request is still to be sent.
    upload: Upload,
}

impl Answer {
    /// The answer whose head, and perhaps more, has been read.
    pub(super) fn new(lease: Lease, upload: Upload, reading: Reading) -> Self {
        let mut answer = Self {
            lease: Some(lease),
            reading,
            upload,
        };
        answer.give_back_at_end();
        answer
    }

    /// A connection whose answer is complete goes back if it is at rest.
    fn give_back_at_end(&mut self) {
        if self.reading.decoder.is_done()
            && let Some(lease) = self.lease.take()
            && self.reading.keeps
            && self.upload.is_done()
        {
            lease.finish();
        }
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            let Reading { decoder, ready, .. } = &mut self.reading;
            if !ready.is_empty() {
                let data = std::mem::take(ready);
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if decoder.is_done() {
                let fields = decoder.take_fields();
                return Poll::Ready(fields.map(|fields| Ok(Frame::trailers(fields))));
            }
            let read = match decoder.wrong() {
                Some(why) => Err(Wrong::Framing(why)),
                None => ready!(self.poll_read(cx)),
            };
            if let Err(wrong) = read {
                return Poll::Ready(self.broken(wrong).map(Err));
            }
        }
    }

    /// Reads once; the upload goes on while there is nothing to read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Wrong>> {
        let Some(lease) = &mut self.lease else {
            return Poll::Ready(Err(Wrong::Told));
        };
        let reading = &mut self.reading;
        let size = with_scratch(|scratch| {
            let size = read(lease.wire(), scratch, cx);
            if let Poll::Ready(Ok(size)) = size {
                reading.take(&mut scratch[..size]);
            }
            size
        });
        match size {
            Poll::Ready(Ok(0)) if !reading.decoder.close() => {
                return Poll::Ready(Err(Wrong::Wire(io::ErrorKind::UnexpectedEof.into())));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Wrong::Wire(error))),
            Poll::Pending => {
                return match self.upload.poll(lease.wire(), cx) {
                    Poll::Ready(Err(Halt::Body(why))) => Poll::Ready(Err(Wrong::Upload(why))),
                    // What befalls the wire, reading tells.
                    _ => Poll::Pending,
                };
            }
        }
        self.give_back_at_end();
        Poll::Ready(Ok(()))
    }

    /// What is told of an answer that broke off, once. Its connection, which
    /// has nothing more to give, is closed.
    fn broken(&mut self, wrong: Wrong) -> Option<Fault> {
        let lease = self.lease.take()?;
        let origin = lease.pool().origin();
        Some(match wrong {
            Wrong::Upload(source) => {
                let what = format!("sending the body of a request to {origin}: {source}");
                Fault::new(FaultKind::RequestBody, what)
                    .because(source)
                    .mid_answer()
            }
            Wrong::Framing(why) => {
                let what = format!("reading the answer of {origin}: {why}");
                Fault::new(FaultKind::Body, what)
            }
            Wrong::Wire(error) => {
                let what = match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        format!("{origin} ended its answer before its announced end")
                    }
                    io::ErrorKind::ConnectionReset => {
                        format!("{origin} reset the connection in the middle of its answer")
                    }
                    kind => format!("reading the answer of {origin}: {kind}"),
                };
                Fault::new(FaultKind::Body, what).because(error)
            }
            Wrong::Told => return None,
        })
    }

    /// All of it, if all of it has come and no fields follow it.
    pub(in crate::upstream) fn take_whole(&mut self) -> Option<Bytes> {
        let Reading { decoder, ready, .. } = &mut self.reading;
        let is_whole = decoder.is_done() && !decoder.has_fields();
        is_whole.then(|| std::mem::take(ready))
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        let Reading { decoder, ready, .. } = &self.reading;
        ready.is_empty() && decoder.is_done() && !decoder.has_fields()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        let ready = self.reading.ready.len() as u64;
        match self.reading.decoder.left() {
            Some(left) => SizeHint::with_exact(ready + left),
            None => SizeHint::default(),
        }
    }
}

/// What ended an answer early.
enum Wrong {
    Framing(Malformed),
    Wire(io::Error),
    /// The request's own body.
    Upload(Source),
    /// It has been told.
    Told,
}
