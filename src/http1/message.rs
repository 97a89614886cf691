//! An answer whose fields are bytes, whatever its body is.

use http::StatusCode;

use super::fields::Fields;

/// An answer that has begun.
#[derive(Debug)]
pub struct Response<B> {
    /// How it went.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
    /// The rest.
    pub body: B,
}

/// The same as HTTP/2's library takes it.
impl<B> From<Response<B>> for http::Response<B> {
    fn from(response: Response<B>) -> Self {
        let mut made = Self::new(response.body);
        *made.status_mut() = response.status;
        *made.headers_mut() = response.fields.to_map();
        made
    }
}
