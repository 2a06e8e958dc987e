#version 330 core
// The accumulated picture over a background, as bytes.
//
// In:     accumulated  RGBA32F, premultiplied, first row at the bottom
//         background   premultiplied, display space; alpha 0 for a transparent one
//         offset       where the picture starts in the target, pixels
//         flip_height  0, or the picture's height to turn it upside down
//         swap         1 to write blue first (BGRA), 0 for RGBA
// Out:    pixel        premultiplied, display space, no color above alpha

uniform sampler2D accumulated;
uniform vec4 background;
uniform ivec2 offset;
uniform int flip_height;
uniform int swap;

out vec4 pixel;

void main() {
    ivec2 at = ivec2(gl_FragCoord.xy) - offset;
    if (flip_height > 0) {
        at.y = flip_height - 1 - at.y;
    }
    vec4 over = texelFetch(accumulated, at, 0);
    vec4 whole = over + (1.0 - over.a) * background;
    whole = clamp(vec4(min(whole.rgb, whole.aaa), whole.a), 0.0, 1.0);
    pixel = swap == 1 ? whole.bgra : whole;
}
