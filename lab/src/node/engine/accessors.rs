//! The three answers a server has and libchdb lacks: interserver address, scheme and credentials.
//!
//! ClickHouse's `Server.cpp` sets them; libchdb has no `Server.cpp`, so every ReplicatedMergeTree would stay
//! read-only (139, then 242) and a fetch would end in 422 or in a null dereference. The three functions of the
//! engine that return them are given constant answers in this process's memory: each begins with known bytes, is
//! made writable, gets a short stub, and is made executable again. No file is changed. A library whose functions
//! begin with other bytes is refused.
//!
//! The functions stand at fixed distances from each other. The middle one is the only one that refers to an error
//! text of its own; for the build the laboratory installs its place is known and the search is skipped, since it
//! would read half a gigabyte.

use memchr::memmem;

use super::elf::Image;

/// Build id of the libchdb.so of `@chdb/lib-linux-x64-gnu` 26.7.3-stable.1.
pub(super) const KNOWN_BUILD: &str = "d3d8f5517577ad52775b52318a193784b2fb5317";
const KNOWN_ADDRESS: usize = 0x1417_c9c0;
const ERROR_TEXT: &[u8] = b"Parameter 'interserver_http(s)_port' required for replication is not specified";
/// `lea rax, [rip + disp32]`
const LOAD_ADDRESS: &[u8] = &[0x48, 0x8d, 0x05];

/// Copies 24 bytes, a string of libc++, from `[rsi]` to `[rdi]`.
const COPY_STRING: &[u8] = &[
    0x48, 0x8b, 0x0e, 0x48, 0x89, 0x0f, 0x48, 0x8b, 0x4e, 0x08, 0x48, 0x89, 0x4f, 0x08, 0x48, 0x8b, 0x4e, 0x10, 0x48,
    0x89, 0x4f, 0x10,
];
/// Copies the port behind the string.
const COPY_PORT: &[u8] = &[0x66, 0x8b, 0x4e, 0x18, 0x66, 0x89, 0x4f, 0x18];
/// `mov rax, rdi; mov rsi, imm64`: returns through the hidden pointer, source in rsi.
const RETURN_FROM: &[u8] = &[0x48, 0x89, 0xf8, 0x48, 0xbe];
const RETURN: u8 = 0xc3;

struct Accessor {
    distance: isize,
    begins_with: &'static [u8],
}

const ADDRESS: Accessor = Accessor { distance: 0, begins_with: &[0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x48] };
const SCHEME: Accessor = Accessor { distance: 0x100, begins_with: &[0x48, 0x8b, 0x06, 0x80, 0xb8] };
const CREDENTIALS: Accessor = Accessor { distance: -0x80, begins_with: &[0x41, 0x57, 0x41, 0x56, 0x53] };

/// Gives the engine the address other replicas fetch parts from. `Err` says what is not as expected.
pub fn install(image: &Image, host: &str, port: u16) -> Result<(), String> {
    let middle = locate(image)?;
    for accessor in [&ADDRESS, &SCHEME, &CREDENTIALS] {
        verify(image, middle, accessor)?;
    }
    let mut address = short_string(host)?.to_vec();
    address.extend_from_slice(&port.to_le_bytes());
    address.resize(32, 0);

    let mut stub = constant_string(address);
    stub.extend_from_slice(COPY_PORT);
    stub.push(RETURN);
    write_code(middle, &ADDRESS, &stub)?;

    let mut stub = constant_string(short_string("http")?.to_vec());
    stub.push(RETURN);
    write_code(middle, &SCHEME, &stub)?;

    // A shared pointer to an object of two empty strings and an empty list: all zeros, with no counter to free.
    let mut stub = vec![0x48, 0xb8];
    stub.extend_from_slice(&keep(vec![0; 4096]).to_le_bytes());
    stub.extend_from_slice(&[0x31, 0xd2, RETURN]);
    write_code(middle, &CREDENTIALS, &stub)
}

fn constant_string(data: Vec<u8>) -> Vec<u8> {
    let mut stub = RETURN_FROM.to_vec();
    stub.extend_from_slice(&keep(data).to_le_bytes());
    stub.extend_from_slice(COPY_STRING);
    stub
}

/// Memory the stubs point to; it has to outlive every thread of the engine, so it is never freed.
fn keep(data: Vec<u8>) -> u64 {
    Box::leak(data.into_boxed_slice()).as_ptr() as u64
}

/// libc++'s short form of a string: the text, zeros, the length in the last of 24 bytes.
pub(super) fn short_string(text: &str) -> Result<[u8; 24], String> {
    let mut form = [0; 24];
    if text.len() > 22 {
        return Err(format!("`{text}` has more than 22 characters"));
    }
    form[..text.len()].copy_from_slice(text.as_bytes());
    form[23] = text.len() as u8;
    Ok(form)
}

fn locate(image: &Image) -> Result<usize, String> {
    if image.build_id().as_deref() == Some(KNOWN_BUILD) {
        return Ok(image.address(KNOWN_ADDRESS));
    }
    search(image).ok_or_else(|| "the function that names the interserver port is not in it".to_owned())
}

fn search(image: &Image) -> Option<usize> {
    refers_to(image, ERROR_TEXT, |at, code, found| {
        memmem::rfind(&code[..found], ADDRESS.begins_with).map(|start| at + start)
    })
}

/// Finds the instruction that loads the address of a text; `then` gets the code's address, the code, and where in it
/// the instruction stands.
pub(super) fn refers_to(
    image: &Image,
    text: &[u8],
    then: impl Fn(usize, &[u8], usize) -> Option<usize>,
) -> Option<usize> {
    let text = image.loaded(false).find_map(|(at, data)| memmem::find(data, text).map(|found| at + found))?;
    image.loaded(true).find_map(|(at, code)| {
        memmem::find_iter(code, LOAD_ADDRESS).find_map(|found| {
            let distance = code.get(found + 3..found + 7).and_then(|bytes| bytes.try_into().ok())?;
            let target = (at + found + 7).wrapping_add_signed(i32::from_le_bytes(distance) as isize);
            if target == text { then(at, code, found) } else { None }
        })
    })
}

fn verify(image: &Image, middle: usize, accessor: &Accessor) -> Result<(), String> {
    let start = middle.wrapping_add_signed(accessor.distance);
    let begin = image
        .code(start, accessor.begins_with.len())
        .ok_or("a function of the interserver settings lies outside of its code")?;
    if begin == accessor.begins_with {
        Ok(())
    } else {
        Err(format!("the function at {:+#x} begins with {begin:02x?}", accessor.distance))
    }
}

fn write_code(middle: usize, accessor: &Accessor, stub: &[u8]) -> Result<(), String> {
    let at = middle.wrapping_add_signed(accessor.distance);
    let page = at & !0xfff;
    let length = at + stub.len() - page;
    let protect = |flags| {
        // SAFETY: the range covers pages of the library's code, which `verify` saw to be mapped.
        match unsafe { libc::mprotect(page as *mut libc::c_void, length, flags) } {
            0 => Ok(()),
            _ => Err(format!("the system refused to change it: {}", std::io::Error::last_os_error())),
        }
    };
    protect(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    // SAFETY: the pages are writable now and the engine, which is not started yet, runs no code of them.
    unsafe { std::ptr::copy_nonoverlapping(stub.as_ptr(), at as *mut u8, stub.len()) };
    protect(libc::PROT_READ | libc::PROT_EXEC)
}

#[cfg(test)]
mod tests {
    use super::short_string;

    #[test]
    fn short_strings_carry_their_length_in_the_last_byte() {
        let form = short_string("127.0.0.1").unwrap();
        assert_eq!(&form[..9], b"127.0.0.1");
        assert_eq!(form[23], 9);
        assert!(short_string("a-host-name-that-is-too-long").is_err());
    }
}
