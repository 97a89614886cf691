//! The body of a request on its way out.
//!
//! A body held in memory can be sent a second time; a streamed one only while
//! nothing of it has been taken.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::error::Source;

/// A body that arrives as it is sent: an upload passed through.
pub type Streamed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Source> + Send>>;

/// What a request carries.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// One piece.
    Bytes(Bytes),
    /// Three pieces, sent in order: before the model's name, the name, and
    /// after it. Empty ones are skipped. Boxed, because this would be most of
    /// a request.
    Spliced(Box<[Bytes; 3]>),
    /// A body that can be read once.
    Stream(Streamed),
}

impl Body {
    /// A body that can be read once, of whatever error.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Source>,
    {
        use http_body_util::BodyExt;
        Self::Stream(Box::pin(body.map_err(Into::into)))
    }

    /// What is in memory of it, in one piece; nothing of a streamed one.
    pub fn joined(&self) -> Bytes {
        match self.pieces() {
            [] => Bytes::new(),
            [one] => one.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// The pieces of a body held in memory, in order; none of a streamed one.
    pub(super) fn pieces(&self) -> &[Bytes] {
        match self {
            Self::Empty | Self::Stream(_) => &[],
            Self::Bytes(bytes) => std::slice::from_ref(bytes),
            Self::Spliced(pieces) => &pieces[..],
        }
    }

    /// A second copy for sending again, its bytes shared; none of a stream.
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Spliced(pieces) => Some(Self::Spliced(pieces.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Spliced(pieces) => {
                let next = pieces.iter_mut().find(|piece| !piece.is_empty());
                Poll::Ready(next.map(|piece| Ok(Frame::data(std::mem::take(piece)))))
            }
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Spliced(pieces) => pieces.iter().all(Bytes::is_empty),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Spliced(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = http_body::Body::size_hint(self);
        match size.exact() {
            Some(bytes) => write!(f, "Body({bytes} bytes)"),
            None => f.write_str("Body(streamed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn pieces_come_in_order_and_empty_ones_are_skipped() {
        let pieces = [Bytes::from("a"), Bytes::new(), Bytes::from("c")];
        let body = Body::Spliced(Box::new(pieces));
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(2));
        assert!(body.replay().is_some());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ac");
        assert!(http_body::Body::is_end_stream(&Body::Empty));
        assert!(
            Body::stream(http_body_util::Empty::<Bytes>::new())
                .replay()
                .is_none()
        );
    }
}
