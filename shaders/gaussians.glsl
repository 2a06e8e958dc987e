// Where Gaussians and triangle frames lie: in textures of 2,048 texels a row, read one after the other.
//
// In:     gaussians   RGBA32F, texels_each texels a Gaussian: mean, rotation times scale (rows), log2 opacity,
//                     extent squared, triangle, 0; then red, green, blue, 0 of each spherical harmonic
//         frames      RGBA32F, three texels a triangle: the rows of [scale * rotation | origin], triangle to camera

uniform sampler2D gaussians;
uniform sampler2D frames;

vec4 gaussian_texel(int index) {
    return texelFetch(gaussians, ivec2(index & 2047, index >> 11), 0);
}

vec4 frame_texel(int index) {
    return texelFetch(frames, ivec2(index & 2047, index >> 11), 0);
}
