// Where Gaussians and triangle frames lie: in textures of 2,048 texels a row, read one after the other.
//
// In:     gaussians   RGBA32F, texels_each texels a Gaussian: mean, rotation times scale (rows), log2 opacity,
//                     extent squared, triangle, 0; then red, green, blue, 0 of each spherical harmonic
//         frames      RGBA32F, three texels a triangle: the rows of [scale * rotation | origin], triangle to camera
//         colors      RGBA32F, a texel a Gaussian, for avatars whose colors change with the expression: what is added to
//                     the first spherical harmonic of red, green and blue; log2 of the opacity

uniform sampler2D gaussians;
uniform sampler2D frames;
uniform sampler2D colors;

vec4 gaussian_texel(int index) {
    return texelFetch(gaussians, ivec2(index & 2047, index >> 11), 0);
}

vec4 color_texel(int index) {
    return texelFetch(colors, ivec2(index & 2047, index >> 11), 0);
}

vec4 frame_texel(int index) {
    return texelFetch(frames, ivec2(index & 2047, index >> 11), 0);
}
