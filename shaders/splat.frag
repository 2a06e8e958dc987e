#version 330 core
// One Gaussian's contribution to one pixel, to be blended over what is there (ONE, ONE_MINUS_SRC_ALPHA).
//
// In:     place, peak, color   from splat.vert
// Out:    contribution         premultiplied, display space

in vec2 place;
flat in float peak;
flat in vec3 color;

out vec4 contribution;

const float LOG2_ALPHA_MIN = -7.994353436858858;

void main() {
    float r2 = dot(place, place);
    if (r2 > 1.0) {
        discard;
    }
    float alpha = min(0.999, exp2(peak + r2 * (LOG2_ALPHA_MIN - peak)));
    contribution = vec4(color * alpha, alpha);
}
