#version 330 core
// One Gaussian as a quadrilateral: binding to its triangle, projection, color. Drawn as instanced triangle strips.
//
// In:     corner      -1 or 1, twice: which corner of the quadrilateral
//         index       which Gaussian, by instance; furthest first
//         uniforms    camera: view (camera to world, rotation only), focal, center, image_size (pixels)
//                     layout of the textures: texels_each, sh_count; expressive: 1 if colors change with the expression
// Out:    place       position in the ellipse: its edge, where alpha is 1/255, is the unit circle
//         peak        log2 of the opacity
//         color       display space, not limited above
//
// The image's first row lies at y = -1, so that pixels read back come top row first.

#include "harmonics.glsl"

uniform mat3 view;
uniform vec2 focal;
uniform vec2 center;
uniform vec2 image_size;
uniform int texels_each;
uniform int sh_count;
uniform int expressive;

in vec2 corner;
in uint index;

out vec2 place;
flat out float peak;
flat out vec3 color;

const float NEAR_M = 0.01;
const float BLUR = 0.3;
const float MAX_EXTENT2 = 11.0889;
const float LN2 = 0.6931471805599453;
const float LOG2_ALPHA_MIN = -7.994353436858858;
const vec4 NOWHERE = vec4(2.0, 2.0, 2.0, 1.0);

void main() {
    place = corner;
    peak = 0.0;
    color = vec3(0.0);
    gl_Position = NOWHERE;

    int first = int(index) * texels_each;
    vec4 t0 = gaussian_texel(first);
    vec4 t1 = gaussian_texel(first + 1);
    vec4 t2 = gaussian_texel(first + 2);
    vec4 t3 = gaussian_texel(first + 3);
    peak = t3.x;
    float extent2 = t3.y;
    vec3 tint = vec3(0.0);
    if (expressive == 1) {
        vec4 now = color_texel(int(index));
        tint = now.rgb;
        peak = now.a;
        extent2 = min(MAX_EXTENT2, 2.0 * LN2 * (peak - LOG2_ALPHA_MIN));
    }
    int triangle = 3 * int(t3.z);
    vec4 f0 = frame_texel(triangle);
    vec4 f1 = frame_texel(triangle + 1);
    vec4 f2 = frame_texel(triangle + 2);

    vec4 mean = vec4(t0.xyz, 1.0);
    vec3 p = vec3(dot(f0, mean), dot(f1, mean), dot(f2, mean));
    if (!(p.z >= NEAR_M) || !(extent2 >= 0.0)) {
        return;
    }
    vec2 slope_xy = p.xy / p.z;
    vec2 margin = 0.15 * image_size / focal;
    vec2 u = clamp(slope_xy, -center / focal - margin, (image_size - center) / focal + margin);
    vec2 j = focal / p.z;
    // rows of the linearised projection times the triangle's frame, then times rotation * scale
    vec3 a0 = j.x * (f0.xyz - u.x * f2.xyz);
    vec3 a1 = j.y * (f1.xyz - u.y * f2.xyz);
    mat3 local = mat3(t0.w, t1.x, t1.y, t1.z, t1.w, t2.x, t2.y, t2.z, t2.w);  // columns: the rows of rotation * scale
    vec3 b0 = local * a0;
    vec3 b1 = local * a1;
    float xx = dot(b0, b0);
    float yy = dot(b1, b1);
    float xy = dot(b0, b1);
    vec3 n = cross(b0, b1);
    float det = dot(n, n) + BLUR * (xx + yy) + BLUR * BLUR;  // no cancellation: |b0 x b1|^2 is that of B B'
    yy += BLUR;

    // a parallelogram around the ellipse, of the least area there is: rows of it lean with the ellipse
    float half_width = sqrt(extent2 * det / yy);
    float half_height = sqrt(extent2 * yy);
    float dy = corner.y * half_height;
    vec2 pixel = focal * slope_xy + center + vec2(corner.x * half_width + xy / yy * dy, dy);
    if (isnan(pixel.x + pixel.y) || isinf(pixel.x + pixel.y)) {
        return;
    }
    gl_Position = vec4(pixel / image_size * 2.0 - 1.0, 0.0, 1.0);
    color = seen_color(first + 4, sh_count, tint, view * normalize(p));
}
