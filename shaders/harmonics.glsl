// Spherical harmonics of 3D Gaussian splatting: coefficients to a color seen from one direction.
//
// In:     a texel for each coefficient: red, green, blue, 0 (see gaussians.glsl)
// Out:    a color in display space, 0 or more, not limited above

#include "gaussians.glsl"

vec3 sh(int first_texel, int k) {
    return gaussian_texel(first_texel + k).rgb;
}

// `count` is the number of coefficients of each channel: 1, 4, 9 or 16; `tint` is added to the first; `d` a unit vector.
vec3 seen_color(int first_texel, int count, vec3 tint, vec3 d) {
    vec3 color = vec3(0.5) + 0.28209479177387814 * (sh(first_texel, 0) + tint);
    if (count > 1) {
        color += 0.4886025119029199 * (d.z * sh(first_texel, 2) - d.y * sh(first_texel, 1) - d.x * sh(first_texel, 3));
    }
    vec3 q = d * d;
    if (count > 4) {
        color += 1.0925484305920792 * d.x * d.y * sh(first_texel, 4);
        color -= 1.0925484305920792 * d.y * d.z * sh(first_texel, 5);
        color += 0.31539156525252005 * (2.0 * q.z - q.x - q.y) * sh(first_texel, 6);
        color -= 1.0925484305920792 * d.x * d.z * sh(first_texel, 7);
        color += 0.5462742152960396 * (q.x - q.y) * sh(first_texel, 8);
    }
    if (count > 9) {
        float far = 4.0 * q.z - q.x - q.y;
        color -= 0.5900435899266435 * d.y * (3.0 * q.x - q.y) * sh(first_texel, 9);
        color += 2.890611442640554 * d.x * d.y * d.z * sh(first_texel, 10);
        color -= 0.4570457994644658 * d.y * far * sh(first_texel, 11);
        color += 0.3731763325901154 * d.z * (2.0 * q.z - 3.0 * q.x - 3.0 * q.y) * sh(first_texel, 12);
        color -= 0.4570457994644658 * d.x * far * sh(first_texel, 13);
        color += 1.445305721320277 * d.z * (q.x - q.y) * sh(first_texel, 14);
        color -= 0.5900435899266435 * d.x * (q.x - 3.0 * q.y) * sh(first_texel, 15);
    }
    return max(color, vec3(0.0));
}
