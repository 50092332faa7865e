/** Small pictures whose pixels in Pillow are known, of the formats that decoders round in ways of their own. */

/** Halved colours, sides of no whole block. */
const JPEG =
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAoHBwgHBgoICAgLCgoLDhgQDg0NDh0VFhEYIx8lJCIfIiEmKzcvJik0KSEiMEExNDk7Pj4+JS5ESU" +
    "M8SDc9Pjv/2wBDAQoLCw4NDhwQEBw7KCIoOzs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozs7Ozv/wAARCAAV" +
    "ABsDASIAAhEBAxEB/8QAGQAAAgMBAAAAAAAAAAAAAAAAAAYCBAUH/8QAJBAAAQQCAQQCAwAAAAAAAAAAAQACAwQFEQYSITFRFCIjQZH/xAAZAQ" +
    "ACAwEAAAAAAAAAAAAAAAAFBwIDBAb/xAAgEQACAgMAAgMBAAAAAAAAAAABAgMEAAURIcESMVGB/9oADAMBAAIRAxEAPwCeQ5Y51Awh3bWgfSXM" +
    "RXtZHI7OyCVfx2Als0g+QHwmLjVatjp+mbWh4J/Sq02/iqRmrJ5/D6Po5p2csFSeBYR05KTjjY2NfKP6tKCOpHAxn17BU+Xcgjrx9EZCTm52dz" +
    "Q4E6K6uKCexGGY8wJZrWbd53c88Y/S9NTE/jYOzVz+xmLHzHNHYb9oQk9rUVvkWGFIUV7cBYdypakkuyCOV5IA2Fv08NXNSMnfj0hCa+qnlOuT" +
    "rfRI/mT3jtHsGCHnjP/Z";
const WEBP =
    "UklGRhABAABXRUJQVlA4IAQBAAAwCACdASobABUAPrVKn0unJCKhsBgIAOAWiWwAnTKEdXeNcIZpf34yQPnd/TdIC/ZrVLAX8NYP00iJugDjQj" +
    "3G6zOZMyN4zhfL8AD+yPXH2zm8IKW4myL+dgtXrRuUVtZ7VTiZJa9EumXQHk4V1GMfqohxRWPu0KUmtq32qysBHzirOgWtG+vcp8nA6z5Gb2IU" +
    "oP5DTj4xMm6ocgklVB8iSd5d3+f0Lb7Qhm/lU5hRYMm70N+GZpQFKvfNutdBalAmgiVfPLGUSys9rFeTuTj2w41F6hlGxbOYgqRWe1u3JDI62N" +
    "g2vzN1x7pncjQJZEDWG8fDn6yzM5Puk1miDLRy3AAAAA==";

/** By format: the file, and the check sum of its pixels in RGBA. @type {Record<string, { file: () => Blob, crc: number }>} */
export const KNOWN = {
  JPEG: { file: () => blob(JPEG), crc: 1284336817 },
  WebP: { file: () => blob(WEBP), crc: 2927049189 },
};

/** @param {string} text in base64 */
function blob(text) {
  return new Blob([Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))]);
}
